//! Redis: machine updates a second through the sink (SET of the document with a TTL, PUBLISH, ZADD), beside a bare pipeline of the same
//! documents (SET and PUBLISH, encoded beforehand) in the same run, round by round.
//!
//! `redis URL [ROUNDS] [MACHINES]`, of a plain Redis without a password: `scripts/with-servers.sh sh -c 'target/release/measure redis "$TEST_REDIS_URL"'`.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::report::{Figure, median};
use model::batch::{Batch, Layout, Positions, Times};
use model::bound::{BoundLayout, Roster, Slots};
use model::query::HotState;
use model::{Bound, Egress, Labels, MachineId, Output, SeriesKey, SessionId, Timestamp};
use runtime::clock::{Clock, SystemClock};
use sinks::memory::{HotSettings, HotStore};
use sinks::payload;
use sinks::redis::{RedisAddress, RedisOutlet, RedisSettings};
use sinks::relay::{Outlet, Update};

use crate::{Arguments, Result};

const SERIES: usize = 60;
/// Machines of one pipeline and pipelines under way, as the sink has them.
const CHUNK: usize = 256;
const UNDER_WAY: usize = 3;
/// Answers to a SET and a PUBLISH: `+OK`, `:0`, each with its line end.
const ANSWER_BYTES: usize = 9;

#[tokio::main]
pub(crate) async fn run(mut args: Arguments) -> Result<()> {
    let url = args.next().ok_or("usage: measure redis URL [ROUNDS] [MACHINES]")?;
    let rounds: usize = args.next().map_or(Ok(30), |text| text.parse())?;
    let machines: usize = args.next().map_or(Ok(4_096), |text| text.parse())?;
    let hot = HotStore::new(HotSettings::default(), SystemClock::shared());
    let fleet = Fleet::new(machines)?;
    let mut outlet = RedisOutlet::new(Arc::new(RedisSettings::new(RedisAddress::parse(&url)?)));
    outlet.connect().await?;
    let address = url.trim_start_matches("redis://").trim_end_matches("/0");
    let mut bare = TcpStream::connect(address)?;
    bare.set_nodelay(true)?;
    let (mut sink_rates, mut bare_rates, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let before = hot.version();
        hot.apply(&[fleet.tick(round)]);
        let started = Instant::now();
        let changes = hot.changes(before);
        let count = changes.machines.len();
        let update = Update { machines: changes.machines, ..Update::default() };
        outlet.send(update.clone()).await?;
        sink_rates.push(count as f64 / started.elapsed().as_secs_f64());
        let chunks: Vec<Vec<u8>> = update.machines.chunks(CHUNK).map(encode).collect();
        bytes = payload::machine(&update.machines[0], &[]).len();
        let started = Instant::now();
        pipeline(&mut bare, &chunks, count)?;
        bare_rates.push(count as f64 / started.elapsed().as_secs_f64());
    }
    let (sink, bare) = (median(sink_rates), median(bare_rates));
    Figure::new("redis: document of 60 series", bytes as f64, "B").print();
    // The baseline: a bare pipeline of the same documents.
    Figure::new("redis: through the sink", sink, "machines/s").at_least(150_000.0).against(bare).print();
    Ok(())
}

/// Commands of one pipeline, as they go over the wire.
fn encode(views: &[Arc<model::query::MachineView>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut command = |words: &[&[u8]]| {
        out.extend(format!("*{}\r\n", words.len()).bytes());
        for word in words {
            out.extend(format!("${}\r\n", word.len()).bytes());
            out.extend_from_slice(word);
            out.extend(b"\r\n");
        }
    };
    for view in views {
        let document = payload::machine(view, &[]);
        let key = format!("machine:{}", view.machine);
        command(&[b"SET", key.as_bytes(), &document, b"EX", b"300"]);
        command(&[b"PUBLISH", b"metrics.raw", &document]);
    }
    out
}

/// Writes and reads with some pipelines under way.
fn pipeline(stream: &mut TcpStream, chunks: &[Vec<u8>], machines: usize) -> Result<()> {
    let mut answers = vec![0; CHUNK * ANSWER_BYTES];
    let mut under_way: VecDeque<usize> = VecDeque::new();
    let mut left = machines;
    for chunk in chunks {
        if under_way.len() == UNDER_WAY {
            let count = under_way.pop_front().unwrap_or(0);
            stream.read_exact(&mut answers[..count * ANSWER_BYTES])?;
        }
        stream.write_all(chunk)?;
        let count = left.min(CHUNK);
        under_way.push_back(count);
        left -= count;
    }
    for count in under_way {
        stream.read_exact(&mut answers[..count * ANSWER_BYTES])?;
    }
    Ok(())
}

struct Fleet {
    machines: Vec<(Arc<Layout>, Arc<BoundLayout>)>,
    began: Timestamp,
}

impl Fleet {
    fn new(machines: usize) -> Result<Self> {
        let keys: Vec<Arc<SeriesKey>> = (0..SERIES).map(key).collect::<Result<_>>()?;
        let machine = |n: usize| -> Result<(Arc<Layout>, Arc<BoundLayout>)> {
            let id = MachineId::parse(&format!("host-{n:05}"))?;
            let roster = Roster { machine: id.clone(), index: 0, series: keys.iter().cloned().collect() };
            let layout = Layout::new(id, keys.iter().map(|key| key.as_ref().clone()).collect());
            Ok((Arc::new(layout), Arc::new(BoundLayout::new(Arc::new(roster), Slots::Identity))))
        };
        let began = Timestamp::from_micros(SystemClock::new().now_us());
        Ok(Self { machines: (0..machines).map(machine).collect::<Result<_>>()?, began })
    }

    /// A frame of every machine, all values new.
    fn tick(&self, round: usize) -> Egress {
        let mut rng = fastrand::Rng::with_seed(round as u64);
        let time = self.began + Duration::from_secs(5 * (round as u64 + 1));
        let outputs = self.machines.iter().map(|(layout, bound)| {
            let batch = Batch {
                layout: Arc::clone(layout),
                session: SessionId(1),
                sequence: round as u64 + 1,
                arrival: time,
                age_ms: 0,
                positions: Positions::All,
                times: Times::One(time),
                values: (0..SERIES).map(|_| rng.f64()).collect(),
            };
            Output::Samples(Bound::new(Arc::new(batch), Arc::clone(bound)))
        });
        Egress::Data { t: round as u64 + 1, outputs: outputs.collect() }
    }
}

/// A third of the series with a label, as a collector has them.
fn key(n: usize) -> Result<Arc<SeriesKey>> {
    let labels = if n.is_multiple_of(3) {
        let device = format!("disk{n}");
        Labels::parse([("device", device.as_str())])?
    } else {
        Labels::none()
    };
    Ok(Arc::new(SeriesKey::parse(&format!("system.metric_{n}.usage"), labels)?))
}
