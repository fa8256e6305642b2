//! Records: payments as three processors write them down, each with field names, units, currency and clock of its own.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// A card network: amounts in cents, currency and verdict as codes, local time to the second and without a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRecord {
    pub txn_ref: String,
    pub merchant_no: u32,
    pub amt_minor: i64,
    /// ISO 4217, numeric.
    pub ccy: u16,
    /// `00` is approved, anything else is not.
    pub resp_code: &'static str,
    /// `20261121163012`, in [`CARD_OFFSET_HOURS`].
    pub local_time: String,
    pub auth_ms: u32,
}

/// A wallet: amounts as decimal texts, seconds as floating-point numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct WalletEvent {
    pub id: u64,
    pub shop: String,
    pub amount: String,
    pub currency: &'static str,
    /// `COMPLETED` or `DECLINED`.
    pub state: &'static str,
    /// Seconds since the epoch.
    pub created: f64,
    pub took: f64,
}

/// A bank's API: whole yen, RFC 3339 by a clock that is [`BANK_BEHIND_S`] slow, durations as ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankEntry {
    pub reference: String,
    pub creditor: String,
    pub amount: i64,
    pub currency: &'static str,
    /// `BOOKED` or `RJCT`.
    pub status: &'static str,
    pub booking_date_time: String,
    /// `PT0.250S`
    pub processing: String,
}

pub const CARD_OFFSET_HOURS: i8 = 1;
pub const BANK_BEHIND_S: i64 = 40;

/// Names by which the processors know the same merchants, in one order.
pub const MERCHANTS: [&str; 6] = ["books", "cafe", "fuel", "grocer", "hotel", "toys"];
/// The card network's numbers of them.
pub(super) const MERCHANT_NO_FIRST: u32 = 700_100;

/// A payment as it happens, before anybody writes it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) number: u64,
    pub(super) merchant: usize,
    /// Quarters of the processor's own currency; yen where that has no parts.
    pub(super) quarters: u32,
    pub(super) is_failed: bool,
    pub(super) took_ms: u32,
    pub(super) at_ms: i64,
}

/// UTC, of a time that is in range.
fn utc(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

impl Happening {
    pub(super) fn card(self) -> CardRecord {
        let zone = TimeZone::fixed(Offset::constant(CARD_OFFSET_HOURS));
        CardRecord {
            txn_ref: format!("CN{:012}", self.number),
            merchant_no: MERCHANT_NO_FIRST + u32::try_from(self.merchant).unwrap_or(0),
            amt_minor: i64::from(self.quarters) * 25,
            ccy: 978,
            resp_code: if self.is_failed { "05" } else { "00" },
            local_time: utc(self.at_ms).to_zoned(zone).strftime("%Y%m%d%H%M%S").to_string(),
            auth_ms: self.took_ms,
        }
    }

    pub(super) fn wallet(self) -> WalletEvent {
        let (whole, part) = (self.quarters / 4, self.quarters % 4 * 25);
        WalletEvent {
            id: self.number,
            shop: MERCHANTS[self.merchant].to_uppercase(),
            amount: format!("{whole}.{part:02}"),
            currency: "USD",
            state: if self.is_failed { "DECLINED" } else { "COMPLETED" },
            created: self.at_ms as f64 / 1e3,
            took: f64::from(self.took_ms) / 1e3,
        }
    }

    pub(super) fn bank(self) -> BankEntry {
        let booked = utc(self.at_ms - BANK_BEHIND_S * 1_000);
        BankEntry {
            reference: format!("BK-{:x}", self.number),
            creditor: format!("{} ltd", MERCHANTS[self.merchant]),
            amount: i64::from(self.quarters) * 32,
            currency: "JPY",
            status: if self.is_failed { "RJCT" } else { "BOOKED" },
            booking_date_time: booked.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            processing: format!("PT{}.{:03}S", self.took_ms / 1_000, self.took_ms % 1_000),
        }
    }
}
