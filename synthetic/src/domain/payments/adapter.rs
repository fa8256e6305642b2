//! Adapter: what each processor wrote down becomes one kind of payment, with the catalogue's units: euros, ratio, seconds, UTC.
//!
//! The reference rates are fixed, and fractions whose denominator is a power of two, so that sums can be compared to the last bit.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::records::{
    BANK_BEHIND_S, BankEntry, CARD_OFFSET_HOURS, CardRecord, MERCHANT_NO_FIRST, MERCHANTS, WalletEvent,
};

/// Euros for one unit of the currency.
const EUR_PER_USD: f64 = 0.875;
const EUR_PER_JPY: f64 = 1.0 / 128.0;

/// A payment as the hub gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Payment {
    /// Position in [`MERCHANTS`].
    pub merchant: usize,
    pub amount_eur: f64,
    pub is_failed: bool,
    pub took_s: f64,
    pub time_ms: i64,
}

/// A record that cannot be brought into the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmapped {
    #[error("merchant {0} is not known")]
    Merchant(String),
    #[error("{0:?} is no time")]
    Time(String),
    #[error("{0:?} is no amount")]
    Amount(String),
    #[error("currency {0} has no reference rate")]
    Currency(String),
    #[error("{0:?} is no duration")]
    Duration(String),
}

/// # Errors
/// When a field means nothing here.
pub fn card(record: &CardRecord) -> Result<Payment, Unmapped> {
    if record.ccy != 978 {
        return Err(Unmapped::Currency(record.ccy.to_string()));
    }
    let index = record.merchant_no.checked_sub(MERCHANT_NO_FIRST).and_then(|index| usize::try_from(index).ok());
    let index = index.filter(|index| *index < MERCHANTS.len());
    let local = DateTime::strptime("%Y%m%d%H%M%S", &record.local_time);
    let time = local.ok().and_then(|local| Offset::constant(CARD_OFFSET_HOURS).to_timestamp(local).ok());
    let time = time.ok_or_else(|| Unmapped::Time(record.local_time.clone()))?;
    Ok(Payment {
        merchant: index.ok_or_else(|| Unmapped::Merchant(record.merchant_no.to_string()))?,
        amount_eur: record.amt_minor as f64 / 100.0,
        is_failed: record.resp_code != "00",
        took_s: f64::from(record.auth_ms) / 1e3,
        time_ms: time.as_millisecond(),
    })
}

/// # Errors
/// When a field means nothing here.
pub fn wallet(event: &WalletEvent) -> Result<Payment, Unmapped> {
    if event.currency != "USD" {
        return Err(Unmapped::Currency(event.currency.to_owned()));
    }
    let amount = event.amount.parse::<f64>().ok().filter(|amount| amount.is_finite());
    let amount = amount.ok_or_else(|| Unmapped::Amount(event.amount.clone()))?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a time of this millennium")]
    let time_ms = (0.0..1e11).contains(&event.created).then_some((event.created * 1e3).round() as i64);
    Ok(Payment {
        merchant: merchant(&event.shop.to_lowercase())?,
        amount_eur: amount * EUR_PER_USD,
        is_failed: event.state != "COMPLETED",
        took_s: event.took,
        time_ms: time_ms.ok_or_else(|| Unmapped::Time(event.created.to_string()))?,
    })
}

/// # Errors
/// When a field means nothing here.
pub fn bank(entry: &BankEntry) -> Result<Payment, Unmapped> {
    if entry.currency != "JPY" {
        return Err(Unmapped::Currency(entry.currency.to_owned()));
    }
    let booked: Timestamp =
        entry.booking_date_time.parse().map_err(|_no_time| Unmapped::Time(entry.booking_date_time.clone()))?;
    let took: SignedDuration =
        entry.processing.parse().map_err(|_none| Unmapped::Duration(entry.processing.clone()))?;
    Ok(Payment {
        merchant: merchant(entry.creditor.trim_end_matches(" ltd"))?,
        amount_eur: entry.amount as f64 * EUR_PER_JPY,
        is_failed: entry.status != "BOOKED",
        took_s: took.as_secs_f64(),
        // Its clock is known to be slow: what it calls then was a little later.
        time_ms: booked.as_millisecond() + BANK_BEHIND_S * 1_000,
    })
}

fn merchant(name: &str) -> Result<usize, Unmapped> {
    let found = MERCHANTS.iter().position(|known| *known == name);
    found.ok_or_else(|| Unmapped::Merchant(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::records::Happening;
    use super::*;

    const HAPPENED: Happening =
        Happening { number: 7, merchant: 3, quarters: 201, is_failed: true, took_ms: 1_250, at_ms: 1_763_742_612_345 };

    #[test]
    fn three_ways_to_write_a_payment_down_become_one() {
        let card = card(&HAPPENED.card()).unwrap();
        let wallet = wallet(&HAPPENED.wallet()).unwrap();
        let bank = bank(&HAPPENED.bank()).unwrap();
        for payment in [card, wallet, bank] {
            assert_eq!((payment.merchant, payment.is_failed), (3, true));
            assert!((payment.took_s - 1.25).abs() < 1e-9);
        }
        // Cents of a euro; quarters of a dollar; 32 yen for each quarter.
        let amounts = [card, wallet, bank].map(|payment| payment.amount_eur);
        assert_eq!(amounts.map(f64::to_bits), [50.25, 50.25 * 0.875, 50.25].map(f64::to_bits));
        // The card network knows no milliseconds.
        assert_eq!([card, wallet, bank].map(|payment| HAPPENED.at_ms - payment.time_ms), [345, 0, 0]);
    }

    #[test]
    fn what_cannot_be_mapped_says_why() {
        let far = CardRecord { merchant_no: 3, ..HAPPENED.card() };
        assert_eq!(card(&far), Err(Unmapped::Merchant("3".into())));
        let odd = WalletEvent { amount: "12,50".into(), ..HAPPENED.wallet() };
        assert_eq!(wallet(&odd), Err(Unmapped::Amount("12,50".into())));
        let foreign = WalletEvent { currency: "XAU", ..HAPPENED.wallet() };
        assert_eq!(wallet(&foreign), Err(Unmapped::Currency("XAU".into())));
        let undated = BankEntry { booking_date_time: "yesterday".into(), ..HAPPENED.bank() };
        assert_eq!(bank(&undated), Err(Unmapped::Time("yesterday".into())));
    }
}
