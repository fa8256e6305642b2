//! Run: one load on a hub from its first frame to the last acknowledgement, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use model::InvalidName;
use runtime::clock::SharedClock;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

use crate::domain::{Domain, Moment, Values};
use crate::lane::Lane;
use crate::link::Connections;
use crate::measure::Board;
use crate::plan::{Faults, Plan, Planned};
use crate::samples;
use crate::schedule::{Schedule, mix};
use crate::truth::{MachineTruth, Truth};
use crate::wire::Template;

/// From the start of the tasks to the first tick: all machines connect meanwhile.
const LEAD: Duration = Duration::from_millis(200);

/// Machines and what they do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fleet {
    pub schedule: Schedule,
    pub faults: Faults,
    /// How long machines measure; what is late comes after it.
    pub span_us: u64,
}

/// Everything that a run needs.
#[derive(Clone)]
pub struct Load {
    pub fleet: Fleet,
    pub domain: Arc<dyn Domain>,
    /// `host:port` of the hub's gRPC.
    pub grpc: String,
    /// How long to wait for the last acknowledgements.
    pub settle: Duration,
    pub keeps_truth: bool,
    pub encoding: Encoding,
}

/// How frames come to be bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Each is made when it is due.
    Live,
    /// Made once and only stamped; their values are all the same.
    PreEncoded,
    /// The older wire, one sample a message; made once, too.
    OneSample,
}

impl Encoding {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::PreEncoded => "pre-encoded",
            Self::OneSample => "one sample a message, pre-encoded",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("{0:?} is no address of a hub's gRPC: {1}; write HOST:PORT")]
    Address(String, tonic::transport::Error),
    #[error("the hub does not take {machine}: {} ({:?})", status.message(), status.code())]
    Refused { machine: String, status: Box<Status> },
    #[error("a machine's task ended by itself: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// What a run left behind, beside what its board says.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// Frames that the hub did not acknowledge in time.
    pub unacknowledged: u64,
    pub truth: Option<Truth>,
}

/// What the lanes of a run share.
pub struct Course {
    pub(crate) fleet: Fleet,
    pub(crate) domain: Arc<dyn Domain>,
    pub board: Arc<Board>,
    pub(crate) connections: Connections,
    pub(crate) session: u64,
    pub(crate) keeps_truth: bool,
    pub(crate) encoding: Encoding,
    pub(crate) template: Option<Template>,
    pub(crate) samples_per_frame: u64,
    pub(crate) last_moment: Instant,
    began: Instant,
    began_wall_ms: i64,
}

impl Fleet {
    #[must_use]
    pub fn plan(&self, machine: u32) -> Plan {
        Plan::new(self.schedule, self.faults, machine, self.schedule.ticks_before(machine, self.span_us))
    }

    /// Samples a second that are due, faults left aside.
    #[must_use]
    pub fn samples_per_s(&self, samples_per_frame: usize) -> f64 {
        let frames = f64::from(self.schedule.machines) / (self.schedule.interval_us as f64 / 1e6);
        frames * samples_per_frame as f64
    }
}

impl Course {
    /// A run that begins in a moment. Inside a runtime.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(load: &Load, clock: &SharedClock) -> Result<Arc<Self>, RunError> {
        let began = Instant::now() + LEAD;
        let lead_us = i64::try_from(LEAD.as_micros()).unwrap_or(0);
        let began_wall_ms = (clock.now_us() + lead_us).div_euclid(1_000);
        let Fleet { schedule, faults, span_us } = load.fleet;
        let replay_us = faults.replay_ticks * schedule.interval_us;
        let latest_us = span_us + (faults.late_by_us * 3 / 2).max(replay_us) + 2 * schedule.interval_us;
        let latest_us = if faults == Faults::default() { span_us } else { latest_us };
        let connections = Connections::to(&load.grpc, schedule.machines)
            .map_err(|error| RunError::Address(load.grpc.clone(), error))?;
        let template = (load.encoding == Encoding::PreEncoded).then(|| {
            let mut values = Values::default();
            load.domain.fill(0, 0, Moment { wall_ms: began_wall_ms, time_us: 0 }, &mut values);
            Template::new(&values.values)
        });
        Ok(Arc::new(Self {
            fleet: load.fleet,
            domain: Arc::clone(&load.domain),
            board: Arc::default(),
            connections,
            session: mix(schedule.seed ^ clock.now_us().cast_unsigned()) | 1,
            keeps_truth: load.keeps_truth,
            encoding: load.encoding,
            template,
            samples_per_frame: load.domain.samples_per_frame() as u64,
            last_moment: began + Duration::from_micros(latest_us) + load.settle,
            began,
            began_wall_ms,
        }))
    }

    /// Microseconds since the run began; 0 before.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(Instant::now().saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    /// Which second of the run ends now, to the nearest.
    pub(crate) fn second(&self) -> u64 {
        self.now_us().saturating_add(500_000) / 1_000_000
    }

    pub(crate) fn moment(&self, due_us: u64) -> Instant {
        self.began + Duration::from_micros(due_us)
    }

    pub(crate) fn wall_ms(&self, time_us: u64) -> i64 {
        self.began_wall_ms + i64::try_from(time_us / 1_000).unwrap_or(i64::MAX)
    }

    /// What the machine's frame of this number holds.
    pub(crate) fn fill(&self, machine: u32, planned: &Planned, values: &mut Values) {
        let at = Moment { wall_ms: self.wall_ms(planned.time_us), time_us: planned.time_us };
        self.domain.fill(machine, planned.number, at, values);
    }

    /// Runs every machine to its end. Dropping it stops them all.
    ///
    /// # Errors
    /// The first machine that the hub refuses for good.
    pub async fn run(self: &Arc<Self>) -> Result<Left, RunError> {
        let mut lanes = JoinSet::new();
        for machine in 0..self.fleet.schedule.machines {
            let face = self.domain.face(machine)?;
            let (name, course) = (face.name.clone(), Arc::clone(self));
            lanes.spawn(async move {
                let ended = match course.encoding {
                    Encoding::Live | Encoding::PreEncoded => Lane::new(course, machine, face).run().await,
                    Encoding::OneSample => samples::run(course, machine, &face.name).await,
                };
                ended.map_err(|status| RunError::Refused { machine: name, status: Box::new(status) })
            });
        }
        let (mut left, mut machines) = (Left::default(), Vec::new());
        while let Some(ended) = lanes.join_next().await {
            let ended = ended??;
            left.unacknowledged += ended.unacknowledged;
            machines.extend(ended.truth);
        }
        left.truth = self.keeps_truth.then(|| self.truth(machines));
        Ok(left)
    }

    fn truth(&self, mut machines: Vec<MachineTruth>) -> Truth {
        machines.sort_by(|left, right| left.name.cmp(&right.name));
        let minutes = || machines.iter().flat_map(|machine| machine.minutes.keys().copied());
        let from_ms = minutes().min().unwrap_or(self.began_wall_ms);
        let to_ms = minutes().max().map_or(from_ms, |last| last + 60_000);
        Truth { rule: None, from_ms, to_ms, machines }
    }
}
