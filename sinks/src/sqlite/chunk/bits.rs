//! Bits: variable-length integers and packed bits, the letters of the chunk code. Reading never panics: what is cut short is `None`.

/// Small numbers of either sign as small unsigned ones: 0, -1, 1, -2, ...
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Seven bits a byte, lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// What is left of a block of bytes.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn len(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }
}

/// Appends bits, highest first.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The lowest `held` bits wait for their byte; held < 8 between calls.
    word: u128,
    held: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, held: 0 }
    }

    /// The lowest `count` bits of `value`, at most 64.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        let masked = u128::from(value) & ((1_u128 << count) - 1);
        self.word = (self.word << count) | masked;
        self.held += count;
        while self.held >= 8 {
            self.held -= 8;
            self.out.push(((self.word >> self.held) & 0xff) as u8);
        }
        self.word &= (1 << self.held) - 1;
    }

    pub(super) fn finish(mut self) {
        if self.held > 0 {
            self.put(0, 8 - self.held);
        }
    }
}

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    word: u128,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, word: 0, held: 0 }
    }

    /// The next `count` bits, at most 64.
    pub(super) fn take(&mut self, count: u32) -> Option<u64> {
        while self.held < count {
            if let Some((eight, rest)) = self.bytes.split_first_chunk::<8>()
                && self.held <= 64
            {
                self.word = (self.word << 64) | u128::from(u64::from_be_bytes(*eight));
                (self.held, self.bytes) = (self.held + 64, rest);
            } else {
                let (byte, rest) = self.bytes.split_first()?;
                self.word = (self.word << 8) | u128::from(*byte);
                (self.held, self.bytes) = (self.held + 8, rest);
            }
        }
        self.held -= count;
        let value = self.word >> self.held;
        self.word &= (1 << self.held) - 1;
        u64::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_and_bits_read_back(values in prop::collection::vec((any::<u64>(), 0u32..=64), 0..200)) {
            let mut out = Vec::new();
            for (value, _) in &values {
                let before = out.len();
                put_varint(&mut out, *value);
                prop_assert_eq!(out.len() - before, varint_len(*value));
                prop_assert_eq!(zigzag(unzigzag(*value)), *value);
            }
            let mut bytes = Bytes(&out);
            for (value, _) in &values {
                prop_assert_eq!(bytes.varint(), Some(*value));
            }
            let mut out = Vec::new();
            let mut writer = BitWriter::new(&mut out);
            values.iter().for_each(|(value, count)| writer.put(*value, *count));
            writer.finish();
            let mut reader = BitReader::new(&out);
            for (value, count) in &values {
                let masked = if *count == 64 { *value } else { value & ((1 << count) - 1) };
                prop_assert_eq!(reader.take(*count), Some(masked));
            }
        }
    }
}
