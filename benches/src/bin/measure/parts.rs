//! Parts of the hot path by themselves: reading the two wires, making the document that Redis gets, and each operator of the graph.
//!
//! `decode` and `graph` alone are what `measure instructions` looks at.

use std::hint::black_box;
use std::time::Instant;

use benches::report::{Figure, median};
use benches::{baseline, fleet, replay, workload};
use bytes::Bytes;
use model::{Catalogue, Timestamp};
use pipeline::Settings;
use prost::Message;
use proto::pb;
use proto::pb::push_request::Message as Pushed;
use proto::sample::Sample;

use crate::{Arguments, Result};

pub(crate) const ROUNDS: usize = 5;
pub(crate) const FRAMES: u64 = 20_000;
pub(crate) const SAMPLES: u64 = 500_000;
/// Of the graph's workload, which has 60 series a machine and an interval of 5 s.
pub(crate) const MACHINES: u32 = 100;
pub(crate) const MINUTES: u32 = 30;
/// Operators below this are of no account.
const NANOS_MIN: f64 = 0.05;

pub(crate) fn run(mut args: Arguments) -> Result<()> {
    match args.next().as_deref().unwrap_or("all") {
        "decode" => decode(),
        "graph" => operators(1),
        "all" => decode().and_then(|()| operators(ROUNDS)),
        other => Err(format!("{other} is none of all, decode, graph").into()),
    }
}

fn decode() -> Result<()> {
    let columnar = messages(FRAMES, |number| {
        let values = fleet::values(0, number);
        let time_ms = Timestamp::from_millis(1_763_683_200_000).millis() + i64::try_from(number).unwrap_or(0);
        let frame = pb::Frame { sequence: number, layout: 1, time_ms, age_ms: 0, values, present: Vec::new() };
        pb::PushRequest { message: Some(Pushed::Frame(frame)) }
    });
    let read = rate(FRAMES * fleet::WIDTH as u64, || read_columnar(&columnar));
    // What any reader does at least: the values out of the bytes into memory of their own.
    let least = rate(FRAMES * fleet::WIDTH as u64, || {
        for bytes in &columnar {
            let values = bytes.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value));
            black_box(values.collect::<Vec<_>>());
        }
    });
    Figure::new("decode: columnar frames of 60", read, "M samples/s").against(least).print();
    let single = messages(SAMPLES, |number| pb::Metric {
        machine_id: fleet::machine_name(0),
        timestamp: 1_763_683_200_000 + i64::try_from(number).unwrap_or(0),
        r#type: 1,
        value: 42.5,
        labels: [(String::from("mount"), String::from("/"))].into(),
    });
    let read = rate(SAMPLES, || read_single(&single));
    let strings = rate(SAMPLES, || {
        for bytes in &single {
            black_box(pb::Metric::decode(bytes.clone()).is_ok());
        }
    });
    Figure::new("decode: one sample a message", read, "M samples/s").against(strings).print();
    Ok(())
}

/// Found by its name when its instructions are counted.
#[inline(never)]
fn read_columnar(messages: &[Bytes]) {
    for bytes in messages {
        let request = pb::PushRequest::decode(bytes.clone()).expect("a message that was just made");
        if let Some(Pushed::Frame(frame)) = &request.message {
            black_box(proto::decode::present(frame, fleet::WIDTH).is_ok());
        }
        black_box(request);
    }
}

/// As above.
#[inline(never)]
fn read_single(messages: &[Bytes]) {
    for bytes in messages {
        black_box(Sample::read(bytes.clone()).is_ok());
    }
}

fn messages<M: Message>(count: u64, message: impl Fn(u64) -> M) -> Vec<Bytes> {
    (1..=count).map(|number| message(number).encode_to_vec().into()).collect()
}

/// Millions a second.
fn rate(samples: u64, run: impl Fn()) -> f64 {
    let rates = (0..ROUNDS).map(|_| {
        let since = Instant::now();
        run();
        samples as f64 / since.elapsed().as_secs_f64() / 1e6
    });
    median(rates.collect())
}

/// What the operators are busy for each sample on one worker.
fn operators(rounds: usize) -> Result<()> {
    let workload = workload::generate(MACHINES, MINUTES, 7)?;
    let samples = workload.samples as f64;
    let settings = Settings::new(1, Catalogue::identity());
    let mut busy: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..rounds {
        let view = replay::operators(&workload, &settings)?;
        for operator in view.operators.into_iter().filter(|operator| !operator.is_scope) {
            let nanos = operator.work.iter().map(|work| work.busy_ns as f64).sum::<f64>() / samples;
            match busy.iter_mut().find(|(name, _)| *name == operator.name) {
                Some((_, all)) => all.push(nanos),
                None => busy.push((operator.name, vec![nanos])),
            }
        }
    }
    let plain = median((0..rounds).map(|_| baseline::run(&workload).0).collect()) / samples * 1e9;
    let medians: Vec<(String, f64)> = busy.into_iter().map(|(name, all)| (name, median(all))).collect();
    for (name, nanos) in medians.iter().filter(|(_, nanos)| NANOS_MIN <= *nanos) {
        Figure::new(format!("parts: {name}"), *nanos, "ns a sample").print();
    }
    let all = medians.iter().map(|(_, nanos)| nanos).sum();
    Figure::new("parts: all operators, beside the plain loop", all, "ns a sample").against(plain).print();
    Ok(())
}
