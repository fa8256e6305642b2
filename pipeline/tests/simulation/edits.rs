//! Edits: the rules in force at the beginning, and what is done to them while the machines go on: made, changed, disabled, deleted.

use fastrand::Rng;
use model::rule::Input;
use model::{Rule, Stamped};

use crate::common::{SECOND, rule, rules, stamped, t};

const RULES: [&str; 8] = [
    r#"{"name":"over","metric":"m","operator":"gt","threshold":5,"clear":2,"severity":"warning","labels":{"n":"1"}}"#,
    r#"{"name":"lasting","metric":"m","operator":"lt","threshold":0,"for_s":10,"severity":"info"}"#,
    r#"{"name":"quiet","metric":"m","operator":"gt","threshold":11,"no_data_s":30,"severity":"info","labels":{"n":"0"}}"#,
    r#"{"name":"big","metric":"payment.amount","operator":"gt","threshold":9,"severity":"info"}"#,
    r#"{"name":"velocity","metric":"payment.amount","input":"minute_count","operator":"gte","threshold":12,"severity":"info"}"#,
    r#"{"name":"volume","metric":"payment.amount","input":"minute_sum","operator":"gt","threshold":20,"clear":-20,"severity":"info","tags":{"role":"db"}}"#,
    r#"{"name":"mean","metric":"m","input":"minute_mean","operator":"gt","threshold":1,"severity":"info","machines":["a*","c"],"no_data_s":120}"#,
    r#"{"name":"peak","metric":"m","input":"minute_max","operator":"lte","threshold":10,"for_s":60,"severity":"info"}"#,
];

/// The rule sets of the script, each with when it comes.
pub(crate) fn edits(seconds: u32, rng: &mut Rng) -> Vec<Stamped> {
    let mut list: Vec<Rule> = RULES.iter().map(|text| rule(text)).collect();
    let mut sets = vec![stamped(t(0.0) - 5 * SECOND, rules(1, list.clone()))];
    let mut times: Vec<u64> = (0..rng.usize(0..6)).map(|_| t(0.0) + rng.u64(0..u64::from(seconds) * SECOND)).collect();
    times.sort_unstable();
    for (version, at) in (2..).zip(times) {
        edit(&mut list, rng);
        let at = if rng.bool() { at - at % 100_000 } else { at };
        sets.push(stamped(at, rules(version, list.clone())));
    }
    sets
}

fn edit(list: &mut Vec<Rule>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..4) {
        let all: Vec<Rule> = RULES.iter().map(|text| rule(text)).collect();
        if list.is_empty() || rng.u8(..) < 40 {
            let anew = all[rng.usize(..all.len())].clone();
            list.retain(|known| known.name != anew.name);
            list.push(anew);
            continue;
        }
        let at = rng.usize(..list.len());
        let chosen = &mut list[at];
        match rng.u8(0..8) {
            0 => chosen.threshold += f64::from(rng.i8(-4..4)),
            1 => chosen.for_s = *rng.choice(&[0, 10, 25]).unwrap(),
            2 => chosen.enabled = !chosen.enabled,
            3 => {
                chosen.labels =
                    [("n".to_owned(), "2".to_owned())].into_iter().filter(|_| chosen.metric == "m").collect()
            }
            4 => chosen.machines = vec![["*", "a", "b*", "d"][rng.usize(..4)].to_owned()],
            5 => {
                let inputs = [Input::Sample, Input::MinuteMean, Input::MinuteMax, Input::MinuteCount];
                chosen.input = inputs[rng.usize(..inputs.len())];
                chosen.no_data_s = chosen.no_data_s.map(|seconds| seconds.max(120));
            }
            6 => chosen.no_data_s = if chosen.no_data_s.is_some() { None } else { Some(rng.u32(120..150)) },
            _ => drop(list.remove(at)),
        }
        // An edit may have put the clear threshold on the wrong side.
        list.iter_mut().filter(|rule| !rule.problems().is_empty()).for_each(|rule| rule.clear = None);
    }
}
