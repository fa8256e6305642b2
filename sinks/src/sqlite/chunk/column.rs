//! The values of one series in a chunk. Every bit comes back: also of NaN, infinities, subnormals and minus zero.
//!
//! What people measure is mostly decimal: bytes, percent with a few digits. A column whose values are all `integer / 10^e` is stored as
//! those integers, as deltas or as offsets from the least, whichever is shorter. Other columns are XORed with their predecessor
//! (Gorilla), and what gains nothing by that is stored as it is.

use super::bits::{BitReader, BitWriter, Bytes, put_varint, unzigzag, varint_len, zigzag};

const CONSTANT: u8 = 0;
/// Deltas of decimals, all in the same number of bits: steady series.
const PACKED: u8 = 1;
/// Deltas of decimals as variable-length integers: steady series with rare jumps.
const VARIED: u8 = 2;
/// Offsets of decimals from the least one: series that jump about in a narrow range.
const OFFSETS: u8 = 3;
const XOR: u8 = 4;
const RAW: u8 = 5;

/// Above this, doubles are as dense as their digits and nothing is decimal any more.
const EXPONENT_MAX: u8 = 12;
const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Integers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first() else {
        return out.push(RAW);
    };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        return out.extend_from_slice(&first.to_le_bytes());
    }
    if let Some((exponent, integers)) = decimals(values) {
        return encode_decimals(exponent, &integers, out);
    }
    let start = out.len();
    encode_xor(values, out);
    if values.len() * 8 < out.len() - start - 1 {
        out.truncate(start);
        out.push(RAW);
        values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

/// `count` values; `None` when the bytes are not a column of so many.
pub(super) fn decode(bytes: &[u8], count: usize) -> Option<Vec<f64>> {
    let mut bytes = Bytes(bytes);
    match bytes.byte()? {
        CONSTANT => Some(vec![f64::from_bits(bytes.word()?); count]),
        kind @ (PACKED | VARIED | OFFSETS) => decode_decimals(kind, bytes, count),
        XOR => decode_xor(bytes, count),
        RAW => (0..count).map(|_| bytes.word().map(f64::from_bits)).collect(),
        _ => None,
    }
}

/// The least exponent under which every value is an exact integer, with those integers.
fn decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    for value in values {
        while integer(*value, exponent).is_none() {
            exponent += 1;
            if exponent > EXPONENT_MAX {
                return None;
            }
        }
    }
    // A larger exponent may be too large for a value that passed with a smaller one.
    let integers: Option<Vec<i64>> = values.iter().map(|value| integer(*value, exponent)).collect();
    Some((exponent, integers?))
}

fn integer(value: f64, exponent: u8) -> Option<i64> {
    let scaled = (value * POWERS[exponent as usize]).round();
    if scaled.is_nan() || EXACT <= scaled.abs() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within 2^53")]
    let integer = scaled as i64;
    (float(integer, exponent).to_bits() == value.to_bits()).then_some(integer)
}

fn float(integer: i64, exponent: u8) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "within 2^53, or from a damaged chunk")]
    let float = integer as f64;
    float / POWERS[exponent as usize]
}

fn encode_decimals(exponent: u8, integers: &[i64], out: &mut Vec<u8>) {
    let deltas = || integers.windows(2).map(|pair| zigzag(pair[1] - pair[0]));
    let least = integers.iter().copied().min().unwrap_or(0);
    let offsets = || integers.iter().map(|integer| (integer - least).cast_unsigned());
    let width_of = |max: Option<u64>| 64 - max.unwrap_or(0).leading_zeros();
    let (delta_bits, offset_bits) = (width_of(deltas().max()), width_of(offsets().max()));
    let packed = (delta_bits as usize * (integers.len() - 1)).div_ceil(8);
    let offset = (offset_bits as usize * integers.len()).div_ceil(8);
    let varied: usize = deltas().map(varint_len).sum();
    let mut head = |kind, base| {
        out.extend_from_slice(&[kind, exponent]);
        put_varint(out, zigzag(base));
    };
    if varied < packed.min(offset) {
        head(VARIED, integers[0]);
        deltas().for_each(|delta| put_varint(out, delta));
    } else if packed <= offset {
        head(PACKED, integers[0]);
        pack(deltas(), delta_bits, out);
    } else {
        head(OFFSETS, least);
        pack(offsets(), offset_bits, out);
    }
}

fn pack(values: impl Iterator<Item = u64>, bits: u32, out: &mut Vec<u8>) {
    out.push((bits & 0x7f) as u8);
    let mut writer = BitWriter::new(out);
    values.for_each(|value| writer.put(value, bits));
    writer.finish();
}

fn decode_decimals(kind: u8, mut bytes: Bytes<'_>, count: usize) -> Option<Vec<f64>> {
    let exponent = bytes.byte().filter(|exponent| *exponent <= EXPONENT_MAX)?;
    let base = unzigzag(bytes.varint()?);
    let mut values = Vec::with_capacity(count);
    let mut running = base;
    if kind != OFFSETS && count > 0 {
        values.push(float(base, exponent));
    }
    if kind == VARIED {
        for _ in 1..count {
            running = running.wrapping_add(unzigzag(bytes.varint()?));
            values.push(float(running, exponent));
        }
        return Some(values);
    }
    let bits = u32::from(bytes.byte()?);
    let mut reader = BitReader::new(bytes.0);
    while values.len() < count {
        let value = if bits <= 64 { reader.take(bits)? } else { return None };
        running = if kind == OFFSETS {
            base.wrapping_add(value.cast_signed())
        } else {
            running.wrapping_add(unzigzag(value))
        };
        values.push(float(running, exponent));
    }
    Some(values)
}

/// As in Facebook's Gorilla: 0 repeats; 10 reuses the last window of meaningful bits; 11 gives a new one (6 bits leading zeros, 6 bits length - 1).
fn encode_xor(values: &[f64], out: &mut Vec<u8>) {
    out.push(XOR);
    out.extend_from_slice(&values[0].to_le_bytes());
    let mut writer = BitWriter::new(out);
    let (mut leading, mut length) = (0, 0);
    for pair in values.windows(2) {
        let xor = pair[0].to_bits() ^ pair[1].to_bits();
        if xor == 0 {
            writer.put(0, 1);
            continue;
        }
        let (zeros, trailing) = (xor.leading_zeros(), xor.trailing_zeros());
        let fits = length > 0 && leading <= zeros && 64 - leading - length <= trailing;
        if fits {
            writer.put(0b10, 2);
        } else {
            (leading, length) = (zeros, 64 - zeros - trailing);
            writer.put(0b11, 2);
            writer.put(u64::from(leading), 6);
            writer.put(u64::from(length - 1), 6);
        }
        writer.put(xor >> (64 - leading - length), length);
    }
    writer.finish();
}

fn decode_xor(mut bytes: Bytes<'_>, count: usize) -> Option<Vec<f64>> {
    let mut bits = bytes.word()?;
    let mut reader = BitReader::new(bytes.0);
    let (mut leading, mut length) = (0, 0);
    let mut values = Vec::with_capacity(count);
    values.push(f64::from_bits(bits));
    for _ in 1..count {
        if reader.take(1)? == 1 {
            if reader.take(1)? == 1 {
                leading = u32::try_from(reader.take(6)?).ok()?;
                length = u32::try_from(reader.take(6)?).ok()? + 1;
            }
            // Only a damaged column reuses a window before it has given one.
            let shift = 64_u32.checked_sub(leading + length).filter(|shift| *shift < 64)?;
            bits ^= reader.take(length)? << shift;
        }
        values.push(f64::from_bits(bits));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode(values, &mut out);
        let back = decode(&out, values.len()).expect("an encoded column decodes");
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(values));
        out.len()
    }

    fn odd() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            prop::sample::select(vec![
                0.0,
                -0.0,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE / 2.0,
                f64::MAX,
                EXACT,
                -EXACT,
                0.1 + 0.2
            ]),
            (-1_000_000i32..1_000_000).prop_map(|n| f64::from(n) / 1000.0),
            any::<i32>().prop_map(f64::from),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_of_any_float_comes_back(values in prop::collection::vec(odd(), 1..200)) {
            round_trip(&values);
        }

        #[test]
        fn decimals_and_walks_come_back(start in -1_000_000i64..1_000_000, steps in prop::collection::vec(-50i64..50, 1..200), exponent in 0usize..9) {
            let mut at = start;
            let walk: Vec<f64> = steps.iter().map(|step| { at += step; at as f64 / POWERS[exponent] }).collect();
            let len = round_trip(&walk);
            prop_assert!(len <= 16 + walk.len());
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), count in 0usize..300) {
            drop(decode(&bytes, count));
        }
    }

    #[test]
    fn each_kind_of_column_gets_its_code() {
        let kind = |values: &[f64]| {
            round_trip(values);
            let mut out = Vec::new();
            encode(values, &mut out);
            out[0]
        };
        assert_eq!(kind(&[0.1; 100]), CONSTANT);
        assert_eq!(kind(&(0..100).map(|n| f64::from(n) * 2.0).collect::<Vec<_>>()), PACKED);
        let rare_jumps: Vec<f64> = (0..100).map(|n| if n == 50 { 1e12 } else { f64::from(n) }).collect();
        assert_eq!(kind(&rare_jumps), VARIED);
        let jumpy: Vec<f64> = (0..100).map(|n| if n % 2 == 0 { 1e6 } else { 1e6 + 200.0 }).collect();
        assert_eq!(kind(&jumpy), OFFSETS);
        assert_eq!(kind(&(1..100).map(|n| f64::from(n).sqrt()).collect::<Vec<_>>()), XOR);
        assert_eq!(kind(&[f64::from_bits(0x0123_4567_89ab_cdef), f64::from_bits(0xfedc_ba98_7654_3211)]), RAW);
    }
}
