//! Summary: the few numbers of a machine that its row on the fleet screen shows, picked from all its series.

use model::query::MachineView;
use model::{SeriesKey, Timestamp};

use super::millis;

/// Each is `None` where the machine has no such series.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Summary<'a> {
    #[schema(required)]
    pub(crate) cpu: Option<f64>,
    /// When `cpu` was measured, in milliseconds; the history has it under the same time.
    #[schema(required)]
    pub(crate) cpu_time: Option<i64>,
    #[schema(required)]
    pub(crate) memory: Option<f64>,
    #[schema(required)]
    pub(crate) swap: Option<f64>,
    /// Of the fullest file system.
    #[schema(required)]
    pub(crate) disk: Option<f64>,
    #[schema(required)]
    pub(crate) disk_mount: Option<&'a str>,
    /// Of all interfaces together.
    #[schema(required)]
    pub(crate) net_rx: Option<f64>,
    #[schema(required)]
    pub(crate) net_tx: Option<f64>,
    #[schema(required)]
    pub(crate) load1: Option<f64>,
    /// The worst of CPU, memory and I/O.
    #[schema(required)]
    pub(crate) pressure: Option<f64>,
    /// The hottest sensor.
    #[schema(required)]
    pub(crate) temperature: Option<f64>,
    #[schema(required)]
    pub(crate) uptime: Option<f64>,
}

impl<'a> Summary<'a> {
    pub(crate) fn of(view: &'a MachineView) -> Self {
        let mut summary = Self::default();
        let keys = view.roster.iter().flat_map(|roster| roster.series.iter());
        for ((key, value), time) in keys.zip(&view.values).zip(&view.times) {
            // A series that has been named but not yet sent.
            if value.is_finite() {
                summary.take(key, *value, *time);
            }
        }
        summary
    }

    fn take(&mut self, SeriesKey { metric, labels }: &'a SeriesKey, value: f64, time: Timestamp) {
        match &**metric {
            "system.cpu.utilization" => (self.cpu, self.cpu_time) = (Some(value), millis(time)),
            "system.memory.utilization" => self.memory = Some(value),
            "system.paging.utilization" => self.swap = Some(value),
            "system.filesystem.utilization" if self.disk.is_none_or(|fullest| fullest < value) => {
                self.disk = Some(value);
                self.disk_mount = labels.get("mountpoint");
            }
            // What a machine tells itself over its loopback is no traffic.
            "system.network.receive.bytes_rate" if labels.get("device") != Some("lo") => add(&mut self.net_rx, value),
            "system.network.transmit.bytes_rate" if labels.get("device") != Some("lo") => add(&mut self.net_tx, value),
            "system.cpu.load_average.1m" => self.load1 = Some(value),
            "system.pressure.cpu.some" | "system.pressure.memory.some" | "system.pressure.io.some" => {
                raise(&mut self.pressure, value);
            }
            "system.temperature" => raise(&mut self.temperature, value),
            "system.uptime" => self.uptime = Some(value),
            _ => {}
        }
    }
}

fn add(sum: &mut Option<f64>, value: f64) {
    *sum = Some(sum.unwrap_or(0.0) + value);
}

fn raise(highest: &mut Option<f64>, value: f64) {
    *highest = Some(highest.map_or(value, |known| known.max(value)));
}
