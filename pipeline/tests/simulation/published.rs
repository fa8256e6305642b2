//! Published: everything that leaves the graph, as text, per machine and in order: what a replay must repeat.

use std::collections::BTreeMap;

use model::Output;

/// Outputs as text, per machine in order: what a replay must repeat.
pub(crate) fn published(outputs: &[(u64, Output)]) -> BTreeMap<String, Vec<String>> {
    let mut by_machine: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, output) in outputs {
        let (stream, text) = match output {
            Output::Minute(rows) | Output::Hour(rows) => (
                format!("{} {:?}", rows.roster.machine, rows.window.width),
                format!(
                    "{} {} {} {:?}",
                    rows.window.start,
                    rows.revision,
                    rows.is_final,
                    rows.rows.iter().collect::<Vec<_>>()
                ),
            ),
            Output::Presence(p) => (format!("{} presence", p.machine), format!("{:?}", p.status)),
            Output::Transition(t) => {
                (format!("{} {}", t.machine, t.rule.name), format!("{} {:?} {}", t.series, t.change, t.at))
            }
            Output::Samples(_)
            | Output::Standing(_)
            | Output::Group(_)
            | Output::Machine(_)
            | Output::Processes(_)
            | Output::Rejected(_)
            | Output::Resent(_)
            | Output::Repair(_)
            | Output::Fleet(_)
            | Output::Hottest(_) => continue,
        };
        by_machine.entry(stream).or_default().push(format!("{at} {text}"));
    }
    by_machine
}

/// What no machine has to itself, as text and sorted: of one boundary several workers tell in no order.
pub(crate) fn of_the_fleet(outputs: &[(u64, Output)]) -> Vec<String> {
    let told = outputs.iter().filter(|(_, output)| {
        matches!(output, Output::Standing(_) | Output::Group(_) | Output::Fleet(_) | Output::Hottest(_))
    });
    let mut told: Vec<String> = told.map(|(t, output)| format!("{t} {output:?}")).collect();
    told.sort_unstable();
    told
}
