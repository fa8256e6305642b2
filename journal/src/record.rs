//! Record: the framing. A header of 20 bytes (checksum, length, T, index) and the payload; the checksum covers everything
//! after itself, so a flipped bit in the length is found as surely as one in the payload. A run of zeros, which a crash may
//! leave at a file's end, is no record: the checksum of zeros is not zero.

pub(crate) const HEADER_BYTES: usize = 20;
/// What a record takes on disk beside its payload.
pub const FRAMING_BYTES: u64 = HEADER_BYTES as u64;

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A record with a good checksum, `bytes` long with its header.
    Whole {
        t: u64,
        index: u32,
        bytes: usize,
    },
    /// The record is longer than what is here: this many bytes are needed to go on.
    Short {
        need: usize,
    },
    Bad(&'static str),
}

/// Appends a record. The payload is within the limit, which is below `u32::MAX` (checked by `Options`).
pub(crate) fn encode(out: &mut Vec<u8>, t: u64, index: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("payloads are below record_bytes_max");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&t.to_le_bytes());
    out.extend_from_slice(&index.to_le_bytes());
    out.extend_from_slice(payload);
    let checksum = crc32fast::hash(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

pub(crate) fn parse(bytes: &[u8], payload_bytes_max: usize) -> Parsed {
    let Some((header, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Parsed::Short { need: HEADER_BYTES };
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3, t0, t1, t2, t3, t4, t5, t6, t7, i0, i1, i2, i3] = *header;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if payload_bytes_max < length {
        return Parsed::Bad("its length is over the limit");
    }
    let end = HEADER_BYTES + length;
    let Some(covered) = bytes.get(4..end) else {
        return Parsed::Short { need: end };
    };
    if crc32fast::hash(covered) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Parsed::Bad("its checksum does not match");
    }
    let t = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    Parsed::Whole { t, index: u32::from_le_bytes([i0, i1, i2, i3]), bytes: end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 3, payload);
        bytes
    }

    #[test]
    fn a_record_reads_back() {
        for payload in [&b""[..], b"x", &[9; 1000]] {
            let bytes = encoded(payload);
            assert_eq!(parse(&bytes, 1000), Parsed::Whole { t: 7, index: 3, bytes: HEADER_BYTES + payload.len() });
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = encoded(b"payload");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&bytes, 1000), Parsed::Whole { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_record_asks_for_the_rest() {
        let bytes = encoded(b"payload");
        assert_eq!(parse(&bytes[..5], 1000), Parsed::Short { need: HEADER_BYTES });
        assert_eq!(parse(&bytes[..bytes.len() - 1], 1000), Parsed::Short { need: bytes.len() });
    }

    #[test]
    fn zeros_and_huge_lengths_are_no_records() {
        assert!(matches!(parse(&[0; 100], 1000), Parsed::Bad(_)));
        assert!(matches!(parse(&[255; 100], 1000), Parsed::Bad(_)));
    }
}
