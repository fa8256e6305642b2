//! Past: how much of each day the machines were heard from, and when they were down; checked as it comes in.

use hashbrown::HashMap;
use serde::Serialize;

use super::picture::{Malformed, check_count, check_time};
use crate::protocol::{DAY_MS, DAYS_MAX, Days, DaysOf, INCIDENTS_MAX, Incident, Incidents, WHOLE_DAY};

/// Of all machines that are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Past {
    /// In the order of the machines.
    pub(crate) days: Vec<Option<Days>>,
    pub(crate) incidents: Outages,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outages {
    pub(crate) is_complete: bool,
    pub(crate) newest: Vec<Outage>,
}

/// A machine was down; times are milliseconds by the hub's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Outage {
    /// Its place among the machines.
    pub(crate) machine: usize,
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
}

impl Past {
    pub(crate) fn new(
        days: Vec<Option<Days>>,
        incidents: &Incidents,
        positions: &HashMap<u32, usize>,
    ) -> Result<Self, Malformed> {
        days.iter().flatten().try_for_each(check_days)?;
        Ok(Self { days, incidents: Outages::new(incidents, positions)? })
    }

    /// What it is after an update; none where that changes nothing.
    pub(crate) fn updated(
        &self,
        days: Vec<DaysOf>,
        incidents: Option<&Incidents>,
        positions: &HashMap<u32, usize>,
    ) -> Result<Option<Self>, Malformed> {
        if days.is_empty() && incidents.is_none() {
            return Ok(None);
        }
        check_count("machines", days.len(), self.days.len())?;
        let mut next = self.clone();
        for DaysOf { key, days } in days {
            let at = *positions.get(&key).ok_or(Malformed::Key(key))?;
            days.iter().try_for_each(check_days)?;
            next.days[at] = days;
        }
        if let Some(incidents) = incidents {
            next.incidents = Outages::new(incidents, positions)?;
        }
        Ok(Some(next))
    }
}

impl Outages {
    fn new(incidents: &Incidents, positions: &HashMap<u32, usize>) -> Result<Self, Malformed> {
        check_count("incidents", incidents.newest.len(), INCIDENTS_MAX)?;
        let outage = |incident: &Incident| {
            let Incident { key, from, to } = *incident;
            check_time(from)?;
            to.map_or(Ok(()), check_time)?;
            if to.is_some_and(|to| to < from) {
                return Err(Malformed::Time);
            }
            let machine = *positions.get(&key).ok_or(Malformed::Key(key))?;
            Ok(Outage { machine, from, to })
        };
        let newest = incidents.newest.iter().map(outage).collect::<Result<_, _>>()?;
        Ok(Self { is_complete: incidents.is_complete, newest })
    }
}

fn check_days(days: &Days) -> Result<(), Malformed> {
    check_count("days", days.shares.len(), DAYS_MAX)?;
    check_time(days.last.checked_mul(DAY_MS).ok_or(Malformed::Time)?)?;
    match days.shares.iter().flatten().find(|share| WHOLE_DAY < **share) {
        Some(share) => Err(Malformed::Share(*share)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(shares: &[Option<u16>]) -> Days {
        Days { last: 20_000, shares: shares.to_vec() }
    }

    fn incidents(newest: &[(u32, i64, Option<i64>)]) -> Incidents {
        let newest = newest.iter().map(|(key, from, to)| Incident { key: *key, from: *from, to: *to }).collect();
        Incidents { is_complete: true, newest }
    }

    fn positions() -> HashMap<u32, usize> {
        HashMap::from([(7, 0), (9, 1)])
    }

    fn past() -> Past {
        Past::new(vec![None, Some(days(&[None, Some(990)]))], &incidents(&[(9, 5, None)]), &positions()).unwrap()
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let past = past();
        assert_eq!(past.updated(Vec::new(), None, &positions()).unwrap(), None);
        let one = DaysOf { key: 7, days: Some(days(&[Some(WHOLE_DAY)])) };
        let next = past.updated(vec![one], None, &positions()).unwrap().unwrap();
        assert_eq!((next.days[0].clone(), &next.days[1]), (Some(days(&[Some(WHOLE_DAY)])), &past.days[1]));
        assert_eq!(next.incidents, past.incidents);
        let next = past.updated(Vec::new(), Some(&incidents(&[(7, 6, Some(6))])), &positions()).unwrap().unwrap();
        assert_eq!(next.incidents.newest, [Outage { machine: 0, from: 6, to: Some(6) }]);
        assert_eq!(next.days, past.days);
    }

    #[test]
    fn a_past_that_breaks_a_limit_is_refused() {
        let of = |key, days| vec![DaysOf { key, days: Some(days) }];
        let spoilt = [
            of(8, days(&[])),
            of(7, days(&[Some(WHOLE_DAY + 1)])),
            of(7, days(&[None; DAYS_MAX + 1])),
            of(7, Days { last: i64::MAX, ..days(&[]) }),
            of(7, Days { last: -1, ..days(&[]) }),
            vec![DaysOf { key: 7, days: None }; 3],
        ];
        for days in spoilt {
            assert!(past().updated(days.clone(), None, &positions()).is_err(), "{days:?}");
        }
        for newest in [
            vec![(8, 1, None)],
            vec![(7, -1, None)],
            vec![(7, 2, Some(1))],
            vec![(7, 1, Some(i64::MAX))],
            vec![(7, 1, None); INCIDENTS_MAX + 1],
        ] {
            assert!(past().updated(Vec::new(), Some(&incidents(&newest)), &positions()).is_err(), "{newest:?}");
        }
    }
}
