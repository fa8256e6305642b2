//! What is neither a frame nor a window: alerts, machines, repairs one by one, as they are rare; fleet minutes together.

use std::sync::Arc;

use model::{
    Alert, Change, FleetMinute, LogicalTime, Output, Resolution, StandingChange, Timestamp, Transition, Width, Window,
};
use runtime::metrics::Counter;

use super::error::Failure;
use super::ids::Ids;
use super::session::Session;
use super::value::{Time, real, sql_t, text};
use crate::process_list;

/// The newest revision of each tag's minute, in one order.
pub(super) fn newest_fleets(fleets: &mut Vec<Arc<FleetMinute>>) {
    let key = |fleet: &FleetMinute| (fleet.tag.clone(), fleet.minute);
    fleets.sort_by_cached_key(|fleet| (key(fleet), fleet.revision));
    fleets.dedup_by(|later, kept| {
        let is_same = key(later) == key(kept);
        if is_same {
            std::mem::swap(later, kept);
        }
        is_same
    });
}

/// Whole revisions, each of another tag or minute.
pub(super) async fn fleets(session: &Session, fleets: &[Arc<FleetMinute>]) -> Result<(), tokio_postgres::Error> {
    let name = |fleet: &FleetMinute| fleet.tag.as_ref().map_or_else(String::new, |tag| text(&tag.name));
    let value = |fleet: &FleetMinute| fleet.tag.as_ref().map_or_else(String::new, |tag| text(&tag.value));
    let rows: Vec<_> = fleets.iter().flat_map(|fleet| fleet.rows.iter().map(move |row| (fleet, row))).collect();
    if !rows.is_empty() {
        let names: Vec<String> = rows.iter().map(|(fleet, _)| name(fleet)).collect();
        let values: Vec<String> = rows.iter().map(|(fleet, _)| value(fleet)).collect();
        let metrics: Vec<&str> = rows.iter().map(|(_, row)| row.metric.as_ref()).collect();
        let minutes: Vec<Time> = rows.iter().map(|(fleet, _)| Time(fleet.minute)).collect();
        let machines: Vec<i32> = rows.iter().map(|(_, row)| i32::try_from(row.machines).unwrap_or(i32::MAX)).collect();
        let counts: Vec<i64> = rows.iter().map(|(_, row)| i64::try_from(row.count).unwrap_or(i64::MAX)).collect();
        let sums: Vec<f64> = rows.iter().map(|(_, row)| real(row.sum)).collect();
        let mins: Vec<f64> = rows.iter().map(|(_, row)| real(row.min)).collect();
        let maxes: Vec<f64> = rows.iter().map(|(_, row)| real(row.max)).collect();
        let revisions: Vec<i64> = rows.iter().map(|(fleet, _)| sql_t(fleet.revision)).collect();
        let upsert = include_str!("../../../sql/queries/upsert_fleet.sql");
        let params: super::session::Params<'_> =
            &[&names, &values, &metrics, &minutes, &machines, &counts, &sums, &mins, &maxes, &revisions];
        session.execute(upsert, params).await?;
    }
    // A revision is whole: what it does not have is not there any more.
    let names: Vec<String> = fleets.iter().map(|fleet| name(fleet)).collect();
    let values: Vec<String> = fleets.iter().map(|fleet| value(fleet)).collect();
    let minutes: Vec<Time> = fleets.iter().map(|fleet| Time(fleet.minute)).collect();
    let revisions: Vec<i64> = fleets.iter().map(|fleet| sql_t(fleet.revision)).collect();
    let clear = include_str!("../../../sql/queries/clear_fleet.sql");
    session.execute(clear, &[&names, &values, &minutes, &revisions]).await?;
    Ok(())
}

/// One output of the rare kinds; nothing for the others.
pub(super) async fn one(
    session: &Session,
    ids: &Ids,
    (t, output): (LogicalTime, &Output),
    unchanged: &Counter,
) -> Result<(), Failure> {
    match output {
        Output::Transition(change) => transition(session, change, unchanged).await,
        Output::Standing(change) => standing(session, change).await,
        Output::Presence(presence) => {
            let (id, seen) = (ids.machine(&presence.machine)?, Time(presence.last_seen.max(Timestamp::EPOCH)));
            let set = include_str!("../../../sql/queries/set_presence.sql");
            session.execute(set, &[&id, &presence.status.as_str(), &seen]).await?;
            Ok(())
        }
        Output::Machine(info) => {
            let (id, json) = (ids.machine(&info.machine)?, json_text(info.as_ref())?);
            let set = include_str!("../../../sql/queries/set_info.sql");
            session.execute(set, &[&id, &json, &Time(info.arrival)]).await?;
            Ok(())
        }
        Output::Processes(table) => {
            let (id, json) = (ids.machine(&table.machine)?, json_text(&process_list::kept(table))?);
            let (minute, busy) = (Window::containing(table.time, Width::Minute).start, real(process_list::busy(table)));
            let upsert = include_str!("../../../sql/queries/upsert_processes.sql");
            session.execute(upsert, &[&id, &Time(minute), &Time(table.time), &busy, &json]).await?;
            Ok(())
        }
        Output::Repair(repair) => {
            let id = ids.machine(&repair.machine)?;
            let add = include_str!("../../../sql/queries/add_repair.sql");
            session.execute(add, &[&id, &false, &Time(repair.minute), &sql_t(t)]).await?;
            Ok(())
        }
        Output::Samples(_)
        | Output::Minute(_)
        | Output::Hour(_)
        | Output::Rejected(_)
        | Output::Resent(_)
        | Output::Fleet(_)
        | Output::Hottest(_)
        | Output::Group(_) => Ok(()),
    }
}

async fn transition(session: &Session, transition: &Transition, unchanged: &Counter) -> Result<(), Failure> {
    let alert = Alert::after(transition);
    let labels = json_text(&alert.series.labels)?;
    let (rule, machine, metric) = (text(&alert.rule.name), alert.machine.as_str(), alert.series.metric.as_ref());
    let (value, t) = (real(alert.value), sql_t(alert.t));
    let changed = match transition.change {
        Change::Fired => {
            let severity = format!("{:?}", alert.rule.severity).to_lowercase();
            let (json, cause, since) = (json_text(alert.rule.as_ref())?, alert.cause.as_str(), Time(alert.since));
            let fire = include_str!("../../../sql/queries/fire_alert.sql");
            let params: super::session::Params<'_> =
                &[&alert.id, &rule, &machine, &metric, &labels, &severity, &cause, &value, &since, &t, &json];
            session.execute(fire, params).await?
        }
        Change::Resolved => {
            let why = alert.resolution.map(Resolution::as_str);
            let resolve = include_str!("../../../sql/queries/resolve_alert.sql");
            let params: super::session::Params<'_> =
                &[&rule, &machine, &metric, &labels, &value, &Time(transition.at), &t, &why, &Time(alert.since)];
            session.execute(resolve, params).await?
        }
    };
    if changed == 0 {
        unchanged.increment();
    }
    Ok(())
}

async fn standing(session: &Session, change: &StandingChange) -> Result<(), Failure> {
    let (id, word, silence) = (change.id(), change.standing.as_str(), change.standing.silence());
    session.execute(include_str!("../../../sql/queries/set_standing.sql"), &[&id, &word, &silence]).await?;
    Ok(())
}

/// As JSON without the one escape that the server's `jsonb` refuses.
pub(super) fn json_text(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(value)?.replace("\\u0000", "\\ufffd"))
}
