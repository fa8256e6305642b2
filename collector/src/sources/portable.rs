//! Portable: what a general library tells, for systems without /proc. Compiled on Linux too, for its test.

use std::collections::BTreeSet;

use sysinfo::{Components, Disks, Networks, System};

use super::{Source, SourceError};
use crate::rate::{exact, per_second, round, share};
use crate::readings::Readings;

pub(super) struct Portable {
    system: Option<System>,
    networks: Option<Networks>,
    last_us: Option<u64>,
}

impl Portable {
    pub(super) fn new() -> Self {
        // What a system does not offer is left out, as everywhere.
        Self { system: System::new().ok(), networks: Networks::new().ok(), last_us: None }
    }
}

impl Source for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn read(&mut self, at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let elapsed_us = self.last_us.replace(at_us).map(|last_us| at_us.saturating_sub(last_us));
        if let Some(system) = &mut self.system {
            cpu(system, elapsed_us.is_some(), out);
            memory(system, out);
        }
        if let Some(networks) = &mut self.networks {
            network(networks, elapsed_us.unwrap_or(0), out);
        }
        filesystems(out);
        for component in Components::new_with_refreshed_list().iter().flat_map(|all| all.iter()) {
            let celsius = component.temperature().map(|celsius| round(f64::from(celsius), 10.0));
            out.put("system.temperature", &[("sensor", component.label())], celsius);
        }
        out.plain("system.uptime", System::uptime().ok().map(exact));
        Ok(())
    }
}

fn cpu(system: &mut System, is_second_look: bool, out: &mut Readings) {
    system.refresh_cpu_usage();
    let ratio = |percent: f32| is_second_look.then(|| round(f64::from(percent) / 100.0, 1e4).clamp(0.0, 1.0));
    out.plain("system.cpu.utilization", ratio(system.global_cpu_usage()));
    for (index, cpu) in system.cpus().iter().enumerate() {
        let label = index.to_string();
        out.put("system.cpu.core.utilization", &[("cpu", &label)], ratio(cpu.usage()));
    }
    if let Ok(load) = System::load_average() {
        out.plain("system.cpu.load_average.1m", load.one);
        out.plain("system.cpu.load_average.5m", load.five);
        out.plain("system.cpu.load_average.15m", load.fifteen);
    }
}

fn memory(system: &mut System, out: &mut Readings) {
    system.refresh_memory();
    let (total, available) = (system.total_memory(), system.available_memory());
    let used = total.saturating_sub(available);
    out.plain("system.memory.limit", exact(total));
    out.plain("system.memory.used", exact(used));
    out.plain("system.memory.available", exact(available));
    out.plain("system.memory.utilization", share(used, total));
    let (swap, swapped) = (system.total_swap(), system.used_swap());
    out.plain("system.paging.limit", exact(swap));
    out.plain("system.paging.usage", exact(swapped));
    out.plain("system.paging.utilization", share(swapped, swap).unwrap_or(0.0));
}

fn network(networks: &mut Networks, elapsed_us: u64, out: &mut Readings) {
    networks.refresh(true);
    // The library's map has no order; readings need none, for a layout keeps the order of first sight.
    for device in networks.keys().collect::<BTreeSet<_>>() {
        let (name, data) = (device.to_string_lossy(), &networks[device]);
        if name.starts_with("lo") {
            continue;
        }
        let labels = [("device", name.as_ref())];
        let rate = |grown: u64| per_second(0, grown, elapsed_us);
        out.put("system.network.receive.bytes_rate", &labels, rate(data.received()));
        out.put("system.network.transmit.bytes_rate", &labels, rate(data.transmitted()));
        out.put("system.network.receive.packets_rate", &labels, rate(data.packets_received()));
        out.put("system.network.transmit.packets_rate", &labels, rate(data.packets_transmitted()));
    }
}

fn filesystems(out: &mut Readings) {
    for disk in Disks::new_with_refreshed_list().iter().flat_map(|all| all.iter()) {
        let (device, fstype) = (disk.name().to_string_lossy(), disk.file_system().to_string_lossy());
        let mountpoint = disk.mount_point().to_string_lossy();
        let labels = [("device", device.as_ref()), ("fstype", &fstype), ("mountpoint", &mountpoint)];
        let used = disk.total_space().saturating_sub(disk.available_space());
        out.put("system.filesystem.limit", &labels, exact(disk.total_space()));
        out.put("system.filesystem.usage", &labels, exact(used));
        out.put("system.filesystem.utilization", &labels, share(used, disk.total_space()));
        out.put("system.filesystem.readonly", &labels, if disk.is_read_only() { 1.0 } else { 0.0 });
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn host_name() -> Option<String> {
    System::host_name().ok()
}

/// What this machine is. What is not known stays empty.
#[cfg(not(target_os = "linux"))]
pub(crate) fn inventory() -> proto::pb::Inventory {
    let system = System::new().ok().map(|mut system| {
        system.refresh_memory();
        system.refresh_cpu_usage();
        system
    });
    let cpus = system.as_ref().map_or(&[][..], |system| system.cpus());
    proto::pb::Inventory {
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu_model: cpus.first().map(|cpu| cpu.brand().to_owned()).unwrap_or_default(),
        cores: u32::try_from(cpus.len()).unwrap_or(u32::MAX),
        memory_bytes: system.as_ref().map_or(0, System::total_memory),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_time_ms: i64::try_from(System::boot_time().unwrap_or(0).saturating_mul(1_000)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_part_has_values_from_the_second_look_on() {
        let (mut source, mut out) = (Portable::new(), Readings::default());
        source.read(1, &mut Readings::default()).unwrap();
        source.read(5_000_001, &mut out).unwrap();
        let text = out.to_text();
        for metric in ["system.cpu.utilization", "system.memory.used", "system.uptime"] {
            assert!(text.lines().any(|line| line.starts_with(metric) && !line.ends_with(" -")), "{metric} in {text}");
        }
    }
}
