//! Minutes of the fleet, read as series.

use std::sync::Arc;

use model::query::{FleetAnswer, FleetPoints, FleetQuery, OfFleet};
use model::{Tag, Width, Window};

use super::error::Failure;
use super::read::sql_len;
use super::session::Session;
use super::value::Time;

pub(super) async fn read(session: &Session, query: &FleetQuery) -> Result<FleetAnswer, Failure> {
    let (name, value) = match &query.of {
        OfFleet::All => ("", Some("")),
        OfFleet::Name(name) => (name.as_str(), None),
        OfFleet::Tag(tag) => (tag.name.as_ref(), Some(tag.value.as_ref())),
    };
    // The minute that `from` falls into begins before it.
    let from = Window::containing(query.from, Width::Minute).start;
    let one_more = sql_len(query.points_max).saturating_add(1);
    let text = include_str!("../../../sql/queries/read_fleet.sql");
    let rows = session.query(text, &[&name, &value, &query.metric, &Time(from), &Time(query.to), &one_more]).await?;
    let mut answer = FleetAnswer { truncated: query.points_max < rows.len(), ..FleetAnswer::default() };
    let mut shown: Option<&str> = None;
    for row in rows.iter().take(query.points_max) {
        let value: &str = row.get(0);
        if shown != Some(value) {
            shown = Some(value);
            let tag = (!name.is_empty()).then(|| Tag { name: Arc::from(name), value: value.into() });
            answer.series.push(FleetPoints { tag, ..FleetPoints::default() });
        }
        let Some(points) = answer.series.last_mut() else { continue };
        points.t.push(row.get::<_, Time>(1).0);
        points.machines.push(u32::try_from(row.get::<_, i32>(2)).unwrap_or(0));
        points.count.push(u64::try_from(row.get::<_, i64>(3)).unwrap_or(0));
        points.sum.push(row.get(4));
        points.min.push(row.get(5));
        points.max.push(row.get(6));
    }
    Ok(answer)
}
