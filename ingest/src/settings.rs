//! Every limit of ingest, with its unit and reason. The hub's settings override the defaults.

use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub limits: Limits,
    pub sequencer: SequencerSettings,
    pub streams: StreamSettings,
}

/// What admission lets in.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Distinct series of one machine: ten times what a large host has.
    pub series_per_machine_max: usize,
    /// Series of all machines together: some 1 KiB of memory each.
    pub series_max: usize,
    pub machines_max: usize,
    /// A sample farther ahead of its arrival is refused: no honest clock is that wrong.
    pub ahead_max: Duration,
    /// An older sample is refused: the raw tier no longer keeps it.
    pub behind_max: Duration,
    /// Per machine, so that a flood costs only who floods.
    pub samples_per_second_max: u32,
    /// What a machine may send at once after a pause: also how fast a spool comes back.
    pub burst_samples_max: u32,
}

#[derive(Debug, Clone)]
pub struct SequencerSettings {
    /// Submissions that wait for the journal. Full means: streams are not read.
    pub queue_submissions_max: usize,
    /// Their bytes, from submission to durability.
    pub intake_bytes_max: usize,
    /// Submissions and bytes in one group commit: what one T may cover.
    pub group_submissions_max: usize,
    pub group_bytes_max: usize,
    /// Groups that are written and wait for their fsync; beyond it groups grow instead.
    pub groups_unsynced_max: usize,
    /// From fsync to fsync, and so from seal to seal: each wakes every worker of the graph.
    pub commit_every: Duration,
    /// How often the graph's clock moves when nothing comes. In a cluster everything waits for the quietest process.
    pub quiet: Duration,
    /// The same once nothing has come for five of them (ADR 0031). Shorter than the graph's allowance for rules in change (2 s), or the next
    /// record would wait for its rules.
    pub idle: Duration,
    /// Between two looks at what the journal may drop.
    pub retention_every: Duration,
}

#[derive(Debug, Clone)]
pub struct StreamSettings {
    pub message_bytes_max: usize,
    /// Open connections: a collector has one, and may have another for a moment.
    pub connections_max: usize,
    /// From the opening of a connection to its first byte, and of a stream to its first message.
    pub hello_within: Duration,
    pub keepalive_every: Duration,
    pub keepalive_within: Duration,
    pub streams_per_connection_max: u32,
    /// Frames that a collector may have under way.
    pub credit_frames_max: u32,
    /// Layouts that one stream may refer to: as many as our collector remembers to have sent.
    pub layouts_per_stream_max: usize,
    /// Batches made of the one-sample-per-message wire: by size or age, whichever comes first.
    pub batch_samples_max: usize,
    pub batch_wait: Duration,
    /// Machines that such a stream gathers batches of at once.
    pub machines_per_stream_max: usize,
    /// From the beginning of a drain to the end of serving.
    pub drain_within: Duration,
    /// Whether the server describes its services to whoever asks, for `grpcurl` and its like. A collector never asks.
    pub reflection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            series_per_machine_max: 1_000,
            series_max: 2_000_000,
            machines_max: 20_000,
            ahead_max: Duration::from_secs(10 * 60),
            behind_max: Duration::from_secs(24 * 3_600),
            samples_per_second_max: 50_000,
            burst_samples_max: 200_000,
        }
    }
}

impl Default for SequencerSettings {
    fn default() -> Self {
        Self {
            queue_submissions_max: 4_096,
            intake_bytes_max: 64 << 20,
            group_submissions_max: 2_048,
            group_bytes_max: 4 << 20,
            groups_unsynced_max: 64,
            commit_every: Duration::from_millis(1),
            quiet: Duration::from_secs(1),
            idle: Duration::from_millis(1_600),
            retention_every: Duration::from_secs(10),
        }
    }
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            message_bytes_max: 4 << 20,
            connections_max: 30_000,
            hello_within: Duration::from_secs(10),
            keepalive_every: Duration::from_secs(30),
            keepalive_within: Duration::from_secs(10),
            streams_per_connection_max: 128,
            credit_frames_max: 256,
            layouts_per_stream_max: 32,
            batch_samples_max: 200,
            batch_wait: Duration::from_millis(50),
            machines_per_stream_max: 256,
            drain_within: Duration::from_secs(8),
            reflection: false,
        }
    }
}
