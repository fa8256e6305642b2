//! Downsample: many points into few, without losing a peak and without inventing a point.
//!
//! Raw samples: time is cut into equal buckets, and of each bucket the lowest and the highest sample stay, as they are.
//! Windows: neighbours merge into longer windows aligned to the epoch, as the pipeline would have merged them (W-3).
//! A bucket without points gives none, so a gap longer than two buckets stays a gap.

use model::Timestamp;
use model::query::SeriesPoints;

/// Keeps at most `points_max` (at least 2) of the samples. Returns them with the step in milliseconds that they are now apart at most half
/// of: the bucket's width, or 0 when nothing was left out. Buckets lie between the first and the last sample: of a hub that knows half an
/// hour, a day would otherwise be a dozen points.
pub(crate) fn samples(points: SeriesPoints, points_max: usize) -> (SeriesPoints, i64) {
    let (Some(from), Some(last), true) = (points.t.first().copied(), points.t.last(), points_max < points.t.len())
    else {
        return (points, 0);
    };
    let buckets = i64::try_from(points_max / 2).unwrap_or(i64::MAX).max(1);
    let span = last.micros().saturating_sub(from.micros()).saturating_add(1);
    let width = ceil_div(span, buckets);
    let bucket_of = |t: &Timestamp| t.micros().saturating_sub(from.micros()).div_euclid(width).clamp(0, buckets - 1);
    let mut kept = SeriesPoints { key: points.key, ..SeriesPoints::default() };
    let mut start = 0;
    for same in points.t.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
        let values = &points.v[start..start + same.len()];
        for index in extremes(values) {
            kept.t.push(same[index]);
            kept.v.push(values[index]);
        }
        start += same.len();
    }
    (kept, ceil_div(width, 1_000))
}

/// Merges windows of `window_us` until a series of `[from, to)` has at most `points_max`. Returns the merged windows and their width in milliseconds.
pub(crate) fn windows(
    points: SeriesPoints,
    (from, to): (Timestamp, Timestamp),
    window_us: i64,
    points_max: usize,
) -> (SeriesPoints, i64) {
    let span = to.micros().saturating_sub(from.micros()).max(1);
    let fitting = i64::try_from(points_max).unwrap_or(i64::MAX).saturating_sub(1).max(1);
    // One less than asked for, because the alignment may cut a window off at either end.
    let merged = ceil_div(ceil_div(span, window_us), fitting);
    let width = merged.max(1).saturating_mul(window_us);
    if points.t.len() <= points_max || width == window_us {
        return (points, window_us / 1_000);
    }
    let start_of = |t: &Timestamp| Timestamp::from_micros(t.micros() - t.micros().rem_euclid(width));
    let mut out = SeriesPoints { key: points.key.clone(), ..SeriesPoints::default() };
    let mut start = 0;
    for same in points.t.chunk_by(|a, b| start_of(a) == start_of(b)) {
        merge_into(&mut out, start_of(&same[0]), &points, start..start + same.len());
        start += same.len();
    }
    (out, width / 1_000)
}

fn merge_into(out: &mut SeriesPoints, start: Timestamp, points: &SeriesPoints, range: std::ops::Range<usize>) {
    let count: u64 = points.count[range.clone()].iter().sum();
    let sum: f64 = points.sum[range.clone()].iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let mean = sum / count.max(1) as f64;
    out.t.push(start);
    out.v.push(mean);
    out.min.push(points.min[range.clone()].iter().copied().fold(f64::INFINITY, f64::min));
    out.max.push(points.max[range.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max));
    out.count.push(count);
    out.sum.push(sum);
    out.last.push(points.last[range.end - 1]);
    out.is_final.push(points.is_final[range].iter().all(|is_final| *is_final));
}

/// Positions of the lowest and the highest value, in order; one position when they are the same.
fn extremes(values: &[f64]) -> impl Iterator<Item = usize> {
    let position = |best: fn(f64, f64) -> bool| {
        (1..values.len()).fold(0, |kept, index| if best(values[index], values[kept]) { index } else { kept })
    };
    let (low, high) = (position(|a, b| a < b), position(|a, b| a > b));
    let second = (low != high).then_some(low.max(high));
    std::iter::once(low.min(high)).chain(second)
}

fn ceil_div(a: i64, b: i64) -> i64 {
    a / b + i64::from(a % b != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_US: i64 = 60_000_000;

    fn raw(values: &[(i64, i32)]) -> SeriesPoints {
        SeriesPoints {
            t: values.iter().map(|(t, _)| Timestamp::from_secs(*t)).collect(),
            v: values.iter().map(|(_, v)| f64::from(*v)).collect(),
            ..SeriesPoints::default()
        }
    }

    fn minutes(values: &[(i64, i32)]) -> SeriesPoints {
        let column = |shift: i32| values.iter().map(|(_, v)| f64::from(v + shift)).collect::<Vec<_>>();
        SeriesPoints {
            t: values.iter().map(|(t, _)| Timestamp::from_secs(t * 60)).collect(),
            v: column(0),
            min: column(-1),
            max: column(1),
            count: vec![2; values.len()],
            sum: values.iter().map(|(_, v)| f64::from(v * 2)).collect(),
            last: column(0),
            is_final: vec![true; values.len()],
            ..SeriesPoints::default()
        }
    }

    fn lowest_and_highest(low: &[f64], high: &[f64]) -> (f64, f64) {
        (low.iter().copied().fold(f64::INFINITY, f64::min), high.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    #[test]
    fn a_single_spike_stays_visible() {
        let mut values: Vec<(i64, i32)> = (0..1_000).map(|t| (t, 1)).collect();
        values[777].1 = 99;
        let (kept, step_ms) = samples(raw(&values), 20);
        assert!(kept.t.len() <= 20 && step_ms == 99_901);
        let at = kept.v.iter().position(|v| *v > 98.0).unwrap();
        assert_eq!(kept.t[at], Timestamp::from_secs(777));
    }

    #[test]
    fn what_is_there_is_cut_finely_however_long_the_time_before_it() {
        let values: Vec<(i64, i32)> = (0..1_000).map(|t| (1_000_000 + t, i32::try_from(t % 7).unwrap())).collect();
        let (kept, step_ms) = samples(raw(&values), 100);
        assert!((90..=100).contains(&kept.t.len()) && step_ms < 21_000, "{} points, {step_ms} ms", kept.t.len());
    }

    #[test]
    fn merged_minutes_are_weighted_and_aligned() {
        let ten: Vec<(i64, i32)> = (0..10).map(|t| (t, i32::try_from(t).unwrap())).collect();
        let range = (Timestamp::EPOCH, Timestamp::from_secs(600));
        let (merged, step_ms) = windows(minutes(&ten), range, MINUTE_US, 3);
        assert_eq!(step_ms, 300_000);
        assert_eq!(merged.t, [Timestamp::EPOCH, Timestamp::from_secs(300)]);
        assert_eq!((&merged.v[..], &merged.max[..]), (&[2.0, 7.0][..], &[5.0, 10.0][..]));
        assert_eq!((&merged.count[..], &merged.last[..]), (&[10, 10][..], &[4.0, 9.0][..]));
    }

    proptest! {
        /// Points only ever come out that went in, in order, with both extremes, and not more than asked for.
        #[test]
        fn samples_keep_both_extremes(points in prop::collection::btree_map(0i64..10_000, -1_000i32..1_000, 1..400), max in 2usize..80) {
            let given: Vec<(i64, i32)> = points.into_iter().collect();
            let whole = raw(&given);
            let (kept, _) = samples(whole.clone(), max);
            prop_assert!(kept.t.len() <= max);
            prop_assert!(kept.t.is_sorted());
            prop_assert_eq!(lowest_and_highest(&kept.v, &kept.v), lowest_and_highest(&whole.v, &whole.v));
            for (t, v) in kept.t.iter().zip(&kept.v) {
                let at = whole.t.binary_search(t).unwrap();
                prop_assert_eq!(v.to_bits(), whole.v[at].to_bits());
            }
        }

        /// A gap of more than two steps was there before; nothing without one is cut apart.
        #[test]
        fn neighbours_stay_within_two_steps(max in 2usize..80, seconds in 100i64..5_000) {
            let given: Vec<(i64, i32)> = (0..seconds).map(|t| (t, 0)).collect();
            let (kept, step_ms) = samples(raw(&given), max);
            let step_ms = step_ms.max(1_000);
            prop_assert!(kept.t.windows(2).all(|pair| pair[1].millis() - pair[0].millis() <= 2 * step_ms));
        }

        #[test]
        fn windows_lose_neither_counts_nor_extremes(points in prop::collection::btree_map(0i64..5_000, -1_000i32..1_000, 1..400), max in 2usize..80) {
            let given: Vec<(i64, i32)> = points.into_iter().collect();
            let whole = minutes(&given);
            let range = (Timestamp::EPOCH, Timestamp::from_secs(5_000 * 60));
            let (merged, step_ms) = windows(whole.clone(), range, MINUTE_US, max);
            prop_assert!(merged.t.len() <= max);
            prop_assert!(merged.t.windows(2).all(|pair| pair[1].millis() - pair[0].millis() >= step_ms));
            prop_assert_eq!(merged.count.iter().sum::<u64>(), whole.count.iter().sum::<u64>());
            prop_assert_eq!(lowest_and_highest(&merged.min, &merged.max), lowest_and_highest(&whole.min, &whole.max));
            let (sum, before) = (merged.sum.iter().sum::<f64>(), whole.sum.iter().sum::<f64>());
            prop_assert!((sum - before).abs() < 1e-6);
        }
    }
}
