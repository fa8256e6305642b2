//! Meters: what ingest counts. Handles are looked up once; counting is an atomic each.
//!
//! Invariants: C-1 received = accepted + duplicate + rejected + shed, in samples.

use model::RejectReason;
use runtime::metrics::{Counter, Gauge, Histogram, LATENCY_SECONDS, Registry};

const GROUP_RECORDS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

#[derive(Debug, Clone)]
pub struct Meters {
    /// `ingest_samples_total` by outcome.
    pub accepted: Counter,
    pub duplicate: Counter,
    pub shed: Counter,
    rejected: Counter,
    rejected_by: [Counter; RejectReason::ALL.len()],
    pub frames: Counter,
    pub push_streams: Gauge,
    pub sample_streams: Gauge,
    pub control_streams: Gauge,
    pub superseded: Counter,
    pub refused_streams: RefusedStreams,
    pub machines: Gauge,
    pub series: Gauge,
    pub fsync_seconds: Histogram,
    pub group_records: Histogram,
    pub journal_bytes: Counter,
    pub logical_time: Gauge,
    pub disk_full: Counter,
    pub dropped_records: Counter,
    pub commands: Counter,
    pub command_results: [Counter; 3],
    pub config_reports: [Counter; 2],
}

/// Streams that ended for a fault of theirs, by what it was.
#[derive(Debug, Clone)]
pub struct RefusedStreams {
    pub no_hello: Counter,
    pub bad_hello: Counter,
    pub too_many_machines: Counter,
    pub malformed: Counter,
}

impl Meters {
    pub fn new(registry: &Registry) -> Self {
        let samples = |outcome| {
            let help = "Samples received, by what became of them.";
            registry.counter("ingest_samples_total", help, &[("outcome", outcome)])
        };
        let rejected = |reason: RejectReason| {
            let help = "Samples refused, by reason.";
            registry.counter("ingest_rejected_samples_total", help, &[("reason", reason.as_str())])
        };
        let streams = |kind| registry.gauge("ingest_streams", "Open streams.", &[("kind", kind)]);
        let results = |outcome| {
            let help = "Answers of collectors to commands.";
            registry.counter("ingest_command_results_total", help, &[("outcome", outcome)])
        };
        let reports = |outcome| {
            let help = "Answers of collectors to configurations.";
            registry.counter("ingest_config_reports_total", help, &[("outcome", outcome)])
        };
        let count = |name, help| registry.counter(name, help, &[]);
        Self {
            accepted: samples("accepted"),
            duplicate: samples("duplicate"),
            shed: samples("shed"),
            rejected: samples("rejected"),
            rejected_by: RejectReason::ALL.map(rejected),
            frames: count("ingest_frames_total", "Frames received."),
            push_streams: streams("push"),
            sample_streams: streams("samples"),
            control_streams: streams("control"),
            superseded: count("ingest_superseded_total", "Push streams closed by a newer one of the same machine."),
            refused_streams: RefusedStreams::new(registry),
            machines: registry.gauge("ingest_machines", "Machines known at the door.", &[]),
            series: registry.gauge("ingest_series", "Series admitted at the door, of all machines.", &[]),
            fsync_seconds: registry.histogram("ingest_fsync_seconds", "Time of a group's fsync.", &[], LATENCY_SECONDS),
            group_records: registry.histogram("ingest_group_records", "Records in a group commit.", &[], GROUP_RECORDS),
            journal_bytes: count("ingest_journal_bytes_total", "Bytes of records appended to the journal."),
            logical_time: registry.gauge("ingest_logical_time_us", "Newest T: the journal's sequence.", &[]),
            disk_full: count("ingest_disk_full_total", "Writes that waited because the journal's disk was full."),
            dropped_records: count("ingest_journal_dropped_records_total", "Records that the journal's quota dropped."),
            commands: count("ingest_commands_total", "Commands sent to collectors."),
            command_results: ["done", "refused", "failed"].map(results),
            config_reports: ["accepted", "rejected"].map(reports),
        }
    }

    pub(crate) fn reject(&self, reason: RejectReason, samples: u32) {
        self.rejected.add(u64::from(samples));
        // ALL lists every variant in the order of declaration.
        self.rejected_by[reason as usize].add(u64::from(samples));
    }

    pub fn rejected_total(&self) -> u64 {
        self.rejected.value()
    }
}

impl RefusedStreams {
    fn new(registry: &Registry) -> Self {
        let count = |reason| {
            let help = "Streams refused or ended for what they sent.";
            registry.counter("ingest_refused_streams_total", help, &[("reason", reason)])
        };
        Self {
            no_hello: count("no_hello"),
            bad_hello: count("bad_hello"),
            too_many_machines: count(RejectReason::TooManyMachines.as_str()),
            malformed: count("malformed"),
        }
    }
}

/// Counts a stream while it is open, however it ends.
#[derive(Debug)]
pub(crate) struct OpenStream(Gauge);

impl OpenStream {
    pub(crate) fn count(gauge: &Gauge) -> Self {
        gauge.add(1.0);
        Self(gauge.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}
