//! Values between our types and the server's: times in microseconds, and frames read without copying what nobody asked for.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use model::{LogicalTime, Timestamp};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// The server counts from 2000-01-01.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Before the rows of a binary COPY: signature, flags, length of the header's extension.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Behind them.
pub(super) const COPY_TRAILER: &[u8] = b"\xff\xff";

/// A `timestamptz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Time(pub(super) Timestamp);

/// Microseconds as the server has them.
pub(super) fn server_us(time: Timestamp) -> i64 {
    time.micros().saturating_sub(EPOCH_US)
}

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(server_us(self.0));
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let us = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(us.saturating_add(EPOCH_US))))
    }

    accepts!(TIMESTAMPTZ);
}

/// A `float8[]` of one dimension as it came.
pub(super) struct Values<'a>(&'a [u8]);

/// Dimensions, flags, type, length, lower bound.
const ARRAY_HEADER: usize = 20;

impl<'a> FromSql<'a> for Values<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.get(ARRAY_HEADER..).unwrap_or_default()))
    }

    accepts!(FLOAT8_ARRAY);
}

impl Values<'_> {
    /// Value by value, in order; none for NULL.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            if i32::from_be_bytes(*length) < 0 {
                rest = after;
                return Some(None);
            }
            let (value, after) = after.split_first_chunk::<8>()?;
            rest = after;
            Some(Some(f64::from_be_bytes(*value)))
        })
    }
}

/// T as the server's `bigint`: microseconds fit for 290,000 years.
pub(super) fn sql_t(t: LogicalTime) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX)
}

pub(super) fn from_sql_t(t: i64) -> LogicalTime {
    u64::try_from(t).unwrap_or(0)
}

/// Samples are finite; only a sum that overflowed both ways is not a number.
pub(super) fn real(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// Text as the server takes it: of all characters it refuses only this one.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
