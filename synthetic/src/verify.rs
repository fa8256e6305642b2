//! Verify: asks the hub's history for what a run sent, and lists every difference from what the run knows.
//!
//! Windows close and stores commit in their own time, so it asks again until all agrees or the time is up; what differs then is missing.
//! A figure that was asked for just before a commit and its neighbour just after are no difference of the store's: what differs when the
//! time is up is asked for once more.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::http::{HttpError, Hub, escaped};
use crate::truth::{Cell, Episode, MachineTruth, Truth};

/// Differences that are told of in full; the rest is counted.
const TOLD_MAX: usize = 100;
/// Between two rounds.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Machines that are asked about at once.
const ASKING_MAX: usize = 4;
/// Metrics that one question may name.
const METRICS_MAX: usize = 64;
/// Alerts in one answer.
const PAGE: usize = 500;
/// Rounds that begin when the time is up.
const LAST_ROUNDS: usize = 2;

/// Metric, labels in their order: as the hub writes them.
type Name = (String, BTreeMap<String, String>);

/// One figure that is not as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub machine: String,
    /// What of it: a series and minute, an alert, or the machine as a whole.
    pub what: String,
    pub expected: String,
    pub found: String,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    pub is_equal: bool,
    pub samples: u64,
    pub windows: u64,
    pub transitions: u64,
    pub machines: usize,
    pub differences: u64,
    /// At most the first hundred.
    pub told: Vec<Difference>,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: expected {}, found {}", self.machine, self.what, self.expected, self.found)
    }
}

/// Compares until all agrees or `within` has passed.
///
/// # Errors
/// When the hub does not answer at the end of that time.
pub async fn verify(truth: Arc<Truth>, hub: &Hub, within: Duration) -> Result<Verdict, HttpError> {
    let deadline = Instant::now() + within;
    let mut open: Vec<usize> = (0..truth.machines.len()).collect();
    let mut left = LAST_ROUNDS;
    loop {
        // A round that begins in time may end long after it: what it saw first is old by then.
        left -= usize::from(deadline <= Instant::now());
        let is_last = left == 0;
        match compare_all(&truth, hub, &open).await {
            Ok(found) => {
                open = found.iter().map(|(machine, _)| *machine).collect();
                if open.is_empty() || is_last {
                    return Ok(verdict(&truth, found.into_iter().flat_map(|(_, differences)| differences).collect()));
                }
            }
            Err(error) if is_last => return Err(error),
            Err(_) => {}
        }
        sleep(AGAIN_AFTER).await;
    }
}

fn verdict(truth: &Truth, mut told: Vec<Difference>) -> Verdict {
    let differences = told.len() as u64;
    told.truncate(TOLD_MAX);
    let cells = || truth.machines.iter().flat_map(|machine| machine.minutes.values()).flatten().flatten();
    let changes = |episode: &Episode| 1 + u64::from(episode.resolved_ms.is_some());
    Verdict {
        is_equal: differences == 0,
        samples: cells().map(|cell| cell.count).sum(),
        windows: cells().count() as u64,
        transitions: truth.machines.iter().flat_map(|machine| &machine.episodes).map(changes).sum(),
        machines: truth.machines.len(),
        differences,
        told,
    }
}

/// The machines that differ, by index, each with its differences.
async fn compare_all(
    truth: &Arc<Truth>,
    hub: &Hub,
    open: &[usize],
) -> Result<Vec<(usize, Vec<Difference>)>, HttpError> {
    let mut found = Vec::new();
    for some in open.chunks(ASKING_MAX) {
        let asked: Vec<_> = some
            .iter()
            .map(|machine| {
                let (truth, machine) = (Arc::clone(truth), *machine);
                let asking = hub.ask(move |hub| compare(hub, &truth, &truth.machines[machine]));
                async move { Ok::<_, HttpError>((machine, asking.await?)) }
            })
            .collect();
        for answer in futures_util::future::join_all(asked).await {
            let (machine, differences) = answer?;
            if !differences.is_empty() {
                found.push((machine, differences));
            }
        }
    }
    Ok(found)
}

fn compare(hub: &Hub, truth: &Truth, machine: &MachineTruth) -> Result<Vec<Difference>, HttpError> {
    let mut differences = Vec::new();
    let mut differs = |what: String, expected: String, found: String| {
        differences.push(Difference { machine: machine.name.clone(), what, expected, found });
    };
    if 0 < machine.unacknowledged {
        differs("frames".into(), "all acknowledged".into(), format!("{} never acknowledged", machine.unacknowledged));
    }
    if 0 < machine.refused {
        // Which ones is not known of a frame that was refused in part, so nothing else can be said.
        differs("samples".into(), "none refused".into(), format!("{} refused by the hub", machine.refused));
        return Ok(differences);
    }
    let stored = read_minutes(hub, truth, machine)?;
    for (minute, cells) in &machine.minutes {
        for (name, expected) in machine.series.iter().zip(cells).filter_map(|(name, cell)| Some((name, (*cell)?))) {
            let found = stored.get(name).and_then(|minutes| minutes.get(minute));
            if found != Some(&expected) {
                let what = format!("{} minute {}", shown(name), model::Timestamp::from_millis(*minute));
                differs(what, told(Some(&expected)), told(found));
            }
        }
    }
    if let Some(rule) = &truth.rule {
        let found = read_episodes(hub, truth, rule, &machine.name)?;
        if found != machine.episodes {
            differs(format!("alerts of {rule}"), episodes(&machine.episodes), episodes(&found));
        }
    }
    Ok(differences)
}

/// Minutes of the machine's series, by name and start. Two questions: each tells one figure beside lowest and highest.
fn read_minutes(
    hub: &Hub,
    truth: &Truth,
    machine: &MachineTruth,
) -> Result<HashMap<Name, HashMap<i64, Cell>>, HttpError> {
    let mut metrics: Vec<&str> = machine.series.iter().map(|(metric, _)| metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut stored: HashMap<Name, HashMap<i64, Cell>> = HashMap::new();
    for metrics in metrics.chunks(METRICS_MAX) {
        let named: String = metrics.iter().map(|metric| format!("&metric={}", escaped(metric))).collect();
        let range = format!("from={}&to={}", seconds(truth.from_ms), seconds(truth.to_ms));
        for agg in ["count", "sum"] {
            let path = format!(
                "/api/v1/machines/{}/history?{range}&tier=minute&max_points=10000&agg={agg}{named}",
                escaped(&machine.name)
            );
            let answer = match hub.get(&path) {
                // Nobody has heard of the machine: then all of it is missing.
                Err(HttpError::Status { status: 404, .. }) => return Ok(stored),
                answer => answer?,
            };
            for series in answer["series"].as_array().into_iter().flatten() {
                add_series(stored.entry(name_of(series)).or_default(), series, agg == "count");
            }
        }
    }
    Ok(stored)
}

fn add_series(minutes: &mut HashMap<i64, Cell>, series: &Value, is_count: bool) {
    let column = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let (values, lowest, highest) = (column("v"), column("min"), column("max"));
    for (index, time) in column("t").iter().enumerate() {
        let number = |column: &[Value]| column.get(index).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let cell =
            minutes.entry(time.as_i64().unwrap_or(0)).or_insert(Cell { count: 0, sum: f64::NAN, min: 0.0, max: 0.0 });
        (cell.min, cell.max) = (number(&lowest), number(&highest));
        if is_count {
            cell.count = crate::schedule::whole(number(&values));
        } else {
            cell.sum = number(&values);
        }
    }
}

/// Alerts of the machine under the rule, oldest first.
fn read_episodes(hub: &Hub, truth: &Truth, rule: &str, machine: &str) -> Result<Vec<Episode>, HttpError> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!(
            "/api/v1/alerts/history?from={}&to={}&machine={}&rule={}&limit={PAGE}{cursor}",
            seconds(truth.from_ms),
            seconds(truth.to_ms + 1_000),
            escaped(machine),
            escaped(rule)
        );
        let answer = hub.get(&path)?;
        for alert in answer["alerts"].as_array().into_iter().flatten() {
            found.push(Episode {
                since_ms: alert["since"].as_i64().unwrap_or(0),
                resolved_ms: alert["resolved"].as_i64(),
            });
        }
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", escaped(next)),
            None => break,
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn name_of(series: &Value) -> Name {
    let labels = series["labels"].as_object().into_iter().flatten();
    let labels = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    (series["metric"].as_str().unwrap_or_default().to_owned(), labels.collect())
}

/// With its milliseconds, as the hub reads them.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000))
}

fn shown((metric, labels): &Name) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if labels.is_empty() { metric.clone() } else { format!("{metric}{{{}}}", labels.join(",")) }
}

fn told(cell: Option<&Cell>) -> String {
    match cell {
        Some(Cell { count, sum, min, max }) => format!("count {count}, sum {sum}, min {min}, max {max}"),
        None => "nothing".to_owned(),
    }
}

fn episodes(list: &[Episode]) -> String {
    let time = |ms: i64| model::Timestamp::from_millis(ms).to_string();
    let one = |episode: &Episode| match episode.resolved_ms {
        Some(resolved) => format!("{} to {}", time(episode.since_ms), time(resolved)),
        None => format!("{} on", time(episode.since_ms)),
    };
    if list.is_empty() { "none".to_owned() } else { list.iter().map(one).collect::<Vec<_>>().join("; ") }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    const MINUTE: &str = r#"{"series":[{"metric":"m","labels":{},"t":[60000],"v":[2.0],"min":[2.0],"max":[2.0]}]}"#;

    /// A hub whose store commits a minute just after the first question, and then answers as often as it is asked.
    fn hub_that_commits_after_the_first_question() -> Hub {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let hub = Hub::at(&listener.local_addr().unwrap().to_string());
        std::thread::spawn(move || {
            for (question, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = head.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let answer = match (question, head[0].contains("agg=count")) {
                    (0, _) => r#"{"series":[]}"#.to_owned(),
                    (_, true) => MINUTE.replace("[2.0],\"min\"", "[1],\"min\""),
                    (_, false) => MINUTE.to_owned(),
                };
                let length = answer.len();
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{answer}")
                    .unwrap();
            }
        });
        hub
    }

    #[tokio::test]
    async fn a_commit_between_two_questions_is_no_difference() {
        let cell = Cell { count: 1, sum: 2.0, min: 2.0, max: 2.0 };
        let series = vec![("m".to_owned(), BTreeMap::new())];
        let mut machine = MachineTruth::new("a", series);
        machine.minutes.insert(60_000, vec![Some(cell)]);
        let truth = Truth { machines: vec![machine], to_ms: 120_000, ..Truth::default() };
        let verdict = verify(Arc::new(truth), &hub_that_commits_after_the_first_question(), Duration::ZERO).await;
        assert_eq!(verdict.unwrap().told, []);
    }
}
