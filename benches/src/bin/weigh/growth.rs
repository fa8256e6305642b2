//! Growth: what a sample, a series and an idle second cost at 1 k, 10 k, 100 k and 1 M series, against a plain loop over arrays of as many.
//!
//! CPU of the workers' threads, so the making of the frames is not in it. What a series costs when it is first heard of is told apart. `growth [SERIES_MAX] [ROUNDS]`.

use std::sync::Arc;
use std::time::Duration;

use benches::baseline::{EMPTY, add};
use benches::fleet::{self, Rules};
use benches::load::Load;
use benches::process;
use benches::report::{Figure, median};
use model::Layout;

use crate::{ALLOCATOR, Arguments, Result};

/// Samples of a size's run, about: enough for a stable figure, so that the small sizes run for longer time.
const SAMPLES: u64 = 20_000_000;
const INTERVAL_S: u64 = 5;
const HEARTBEATS: u32 = 100;

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (series_max, rounds) = (number(1_000_000)?, number(3)?);
    for series in [1_000_u64, 10_000, 100_000, 1_000_000].into_iter().filter(|series| *series <= series_max) {
        let machines = u32::try_from(series.div_ceil(60))?;
        let layouts = fleet::layouts(machines)?;
        let (mut sample, mut plain, mut bytes, mut idle, mut new) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push(plain_loop(machines, SAMPLES / (u64::from(machines) * 60)));
            let cost = measure(machines, &layouts)?;
            sample.push(cost.sample_ns);
            bytes.push(cost.bytes);
            idle.push(cost.idle_us);
            new.push(cost.new_us);
        }
        let name = |what| format!("growth: {series} series, {what}");
        Figure::new(name("a sample"), median(sample), "ns CPU").against(median(plain)).print();
        Figure::new(name("a new series"), median(new), "us CPU").print();
        Figure::new(name("a series"), median(bytes), "B").print();
        Figure::new(name("an idle second"), median(idle), "us CPU").print();
    }
    Ok(())
}

/// Of one size.
struct Cost {
    /// Nanoseconds of a sample, from each machine's second frame on.
    sample_ns: f64,
    /// Microseconds of a series' first frame.
    new_us: f64,
    bytes: f64,
    /// Microseconds of a second in which nothing comes.
    idle_us: f64,
}

fn measure(machines: u32, layouts: &[Arc<Layout>]) -> Result<Cost> {
    let per_tick = u64::from(machines) * 60;
    // At least a minute and its lateness, so that windows close at every size.
    let seconds = (SAMPLES / per_tick * INTERVAL_S).clamp(100, 24 * 3_600);
    let load = Load {
        machines,
        interval_s: INTERVAL_S,
        seconds,
        rules: Rules::Usual,
        horizon: Duration::from_secs(600),
        workers: 1,
    };
    let first = Load { seconds: INTERVAL_S, ..load }.run(layouts, Box::new(|_| {}))?;
    let (first_cpu_s, first_samples) = (first.cpu_s, first.samples);
    first.stop()?;
    let before = ALLOCATOR.allocated();
    let mut loaded = load.run(layouts, Box::new(|_| {}))?;
    let bytes = ALLOCATOR.allocated().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (samples, series) = ((loaded.samples - first_samples) as f64, per_tick as f64);
    let (sample_ns, new_us) = ((loaded.cpu_s - first_cpu_s) * 1e9 / samples, first_cpu_s * 1e6 / series);
    let idle_us = loaded.idle_us(HEARTBEATS)?;
    loaded.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    Ok(Cost { sample_ns, new_us, bytes: bytes as f64 / series, idle_us })
}

/// Nanoseconds a sample of minute and hour aggregates, latest values and a threshold in arrays indexed by series, without an engine.
fn plain_loop(machines: u32, ticks: u64) -> f64 {
    let series = machines as usize * fleet::WIDTH;
    let (mut minutes, mut hours) = (vec![EMPTY; series], vec![EMPTY; series]);
    let (mut changes, mut above) = (0_u64, vec![false; series]);
    let (mut seconds, mut count) = (0.0, 0_u32);
    for tick in 0..ticks.max(1) {
        let frames: Vec<Vec<f64>> = (0..machines).map(|machine| fleet::values(machine, tick)).collect();
        let at_ms = i64::try_from(tick * INTERVAL_S * 1_000).unwrap_or(i64::MAX);
        let started = process::own_thread_seconds();
        if tick % 12 == 0 {
            minutes.fill(EMPTY);
        }
        for (machine, values) in frames.iter().enumerate() {
            let range = machine * fleet::WIDTH..(machine + 1) * fleet::WIDTH;
            let cells = minutes[range.clone()].iter_mut().zip(&mut hours[range.clone()]).zip(&mut above[range]);
            for (((minute, hour), is_above), value) in cells.zip(values) {
                add(minute, at_ms, *value);
                add(hour, at_ms, *value);
                changes += u64::from(*is_above != (*value > 0.8));
                *is_above = *value > 0.8;
            }
            count += u32::try_from(fleet::WIDTH).unwrap_or(u32::MAX);
        }
        seconds += process::own_thread_seconds() - started;
    }
    assert!(changes > 0 || machines == 0, "values cross the threshold");
    seconds * 1e9 / f64::from(count.max(1))
}
