//! Whatever happens to the hot state, nothing but what was chosen leaves, and the edge's picture is the hub's.

use std::sync::Arc;

use model::MachineId;
use model::query::Changes;
use model::rule::MACHINE_DOWN;
use proptest::prelude::*;

use super::{START_MS, alert, changed, fleet, next, view};
use crate::protocol::{Days, FromHub, to_json};
use crate::publish::fleet::MINUTE_MS;
use crate::publish::told::Told;
use crate::relay::picture::Picture;

/// A word that the outside must never see.
const SECRET: &str = "SECRET";

/// What happens to the hot state.
#[derive(Debug, Clone)]
enum Event {
    Shown { machine: usize, is_open: bool, percent: u8 },
    Removed { machine: usize },
    Down { machine: usize, is_over: bool },
    Recalled { share: u16 },
    Minutes(u8),
    Reconnected,
}

const IDS: [&str; 6] = ["pub-SECRET-0", "pub-SECRET-1", "pub-SECRET-2", "pub-SECRET-3", "SECRET-db", "SECRET-web"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let machine = 0..IDS.len();
    let shown = (machine.clone(), prop::bool::weighted(0.7), 0..100_u8);
    let one = prop_oneof![
        6 => shown.prop_map(|(machine, is_open, percent)| Event::Shown { machine, is_open, percent }),
        1 => machine.clone().prop_map(|machine| Event::Removed { machine }),
        2 => (machine, any::<bool>()).prop_map(|(machine, is_over)| Event::Down { machine, is_over }),
        2 => (0..=1_000_u16).prop_map(|share| Event::Recalled { share }),
        2 => (0..4_u8).prop_map(Event::Minutes),
        1 => Just(Event::Reconnected),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    /// E-1 and E-2: no byte tells of what was not chosen, and the edge's picture is the hub's after every message.
    #[test]
    fn nothing_but_what_was_chosen_leaves_and_the_edge_has_all_of_it(events in events()) {
        let (mut fleet, mut told, mut picture) = (fleet(), Told::default(), None::<Picture>);
        let (mut now_ms, mut open) = (START_MS, [false; IDS.len()]);
        for (step, event) in events.into_iter().enumerate() {
            match event {
                Event::Shown { machine, is_open, percent } => {
                    open[machine] = is_open;
                    let is_chosen = is_open && IDS[machine].starts_with("pub-");
                    let value = if is_chosen { f64::from(percent) / 100.0 } else { 0.678_9 };
                    let at_ms = now_ms + i64::try_from(step).unwrap();
                    fleet.take(&changed(vec![view(IDS[machine], is_open, &[value, value, value, 98_765.0], at_ms)]));
                }
                Event::Removed { machine } => {
                    open[machine] = false;
                    let removed = vec![MachineId::parse(IDS[machine]).unwrap()];
                    fleet.take(&Changes { removed, ..Changes::default() });
                }
                Event::Down { machine, is_over } => {
                    let over = is_over.then_some(now_ms + 1);
                    let alerts = vec![Arc::new(alert(IDS[machine], MACHINE_DOWN, (now_ms, over)))];
                    fleet.take(&Changes { alerts, ..Changes::default() });
                }
                Event::Recalled { share } => {
                    if let Some(question) = fleet.next_question(now_ms) {
                        fleet.remember_days(&question, Days { shares: vec![Some(share)], ..question.no_days() });
                        fleet.remember_outages(&question.machine, &[]);
                    }
                }
                Event::Minutes(minutes) => {
                    now_ms += i64::from(minutes) * MINUTE_MS;
                    fleet.advance(now_ms);
                }
                Event::Reconnected => (told, picture) = (Told::default(), None),
            }
            let message = next(&mut told, &fleet);
            let text = to_json(&message);
            for secret in [SECRET, "0.6789", "98765", "98770", "98760", "app."] {
                prop_assert!(!text.contains(secret), "{secret} in {text}");
            }
            let shown = match serde_json::from_str(&text).unwrap() {
                FromHub::Snapshot(snapshot) => Picture::new(snapshot).unwrap(),
                FromHub::Update(update) => {
                    let mut shown = picture.take().expect("an update follows a snapshot");
                    shown.update(update).unwrap();
                    shown
                }
            };
            let FromHub::Snapshot(whole) = next(&mut Told::default(), &fleet) else { panic!("the first is a snapshot") };
            let whole = Picture::new(whole).unwrap();
            prop_assert_eq!(&shown.head.names, &whole.head.names);
            prop_assert_eq!(&shown.now, &whole.now);
            prop_assert_eq!(&shown.charts, &whole.charts);
            prop_assert_eq!(&shown.past, &whole.past);
            let chosen = (0..IDS.len()).filter(|at| open[*at] && IDS[*at].starts_with("pub-")).count();
            // Who was left out moves up with the next minute.
            prop_assert!(fleet.len() <= chosen.min(3));
            picture = Some(shown);
        }
    }
}
