//! A table of processes as the histories keep it: of each minute the busiest table, of each table every process once.

use std::cmp::Reverse;

use model::machine::PROCESSES_MAX;
use model::{MachineId, Process, Processes, Timestamp};

/// Name, cores, resident bytes: half as long as with the names of the fields, and most processes are in both lists of their table.
pub(crate) type Kept = (String, f64, u64);

/// Those of both lists. Of a name that is there twice, which no collector of ours sends, the first stands.
pub(crate) fn kept(table: &Processes) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::with_capacity(table.by_cpu.len() + table.by_memory.len());
    for process in table.by_cpu.iter().chain(&table.by_memory) {
        if kept.iter().all(|(name, ..)| *name != process.name) {
            kept.push((process.name.clone(), process.cpu, process.memory));
        }
    }
    kept
}

/// The table again: both lists in the order that collectors send them in.
///
/// # Errors
/// In words, for a text that is not one of `kept`.
pub(crate) fn table(machine: MachineId, time: Timestamp, text: &str) -> Result<Processes, String> {
    let kept: Vec<Kept> = serde_json::from_str(text).map_err(|error| format!("read table of processes: {error}"))?;
    let mut all: Vec<Process> = kept.into_iter().map(|(name, cpu, memory)| Process { name, cpu, memory }).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut by_cpu: Vec<Process> = all.iter().filter(|process| 0.0 < process.cpu).cloned().collect();
    by_cpu.sort_by(|a, b| b.cpu.total_cmp(&a.cpu));
    by_cpu.truncate(PROCESSES_MAX);
    let mut by_memory: Vec<Process> = all.into_iter().filter(|process| 0 < process.memory).collect();
    by_memory.sort_by_key(|process| Reverse(process.memory));
    by_memory.truncate(PROCESSES_MAX);
    Ok(Processes { machine, time, by_cpu, by_memory })
}

/// Cores that its busiest processes use together: by this a table stands for its minute.
pub(crate) fn busy(table: &Processes) -> f64 {
    table.by_cpu.iter().map(|process| process.cpu).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, machine, processes};

    #[test]
    fn a_table_is_the_same_again() {
        let cases = [
            processes("db-1", at(60), &[]),
            processes(
                "db-1",
                at(60),
                &[("postgres", 0.5, 9), ("sshd", 0.25, 12), ("idle", 0.0, 40), ("kworker", 0.1, 0)],
            ),
            // Equal ones are in the order of their names.
            processes("db-1", at(60), &[("b", 1.0, 5), ("a", 1.0, 5)]),
        ];
        for given in cases {
            let text = serde_json::to_string(&kept(&given)).unwrap();
            assert_eq!(table(machine("db-1"), at(60), &text), Ok(given), "{text}");
        }
    }

    #[test]
    fn each_process_is_kept_once_and_the_busiest_ten_of_each_kind_come_back() {
        let names: Vec<String> = (0..30).map(|n| format!("p{n:02}")).collect();
        // Memory falls where CPU rises: the two lists have nothing in common.
        let all: Vec<(&str, f64, u64)> =
            (0u32..30).zip(&names).map(|(n, name)| (name.as_str(), f64::from(n), u64::from(100 - n))).collect();
        let given = processes("db-1", at(60), &all);
        assert_eq!((given.by_cpu.len(), given.by_memory.len(), kept(&given).len()), (10, 10, 20));
        let text = serde_json::to_string(&kept(&given)).unwrap();
        assert_eq!(table(machine("db-1"), at(60), &text), Ok(given.clone()));
        assert!((busy(&given) - 245.0).abs() < 1e-9, "20 to 29");
        for wrong in ["", "{}", "[[1,2,3]]", r#"[["a",1.0]]"#, r#"[["a",1.0,-1]]"#] {
            assert!(table(machine("db-1"), at(60), wrong).is_err(), "{wrong}");
        }
    }
}
