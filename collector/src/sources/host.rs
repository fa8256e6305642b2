//! Host: uptime as a series, and the inventory that a hello carries.

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
pub(crate) use super::portable::{host_name, inventory};

#[cfg(target_os = "linux")]
mod linux {
    use proto::pb;

    use crate::readings::Readings;
    use crate::sources::root::Root;
    use crate::sources::{Source, SourceError, memory};

    pub(crate) struct Host {
        root: Root,
    }

    impl Host {
        pub(crate) fn new(root: Root) -> Self {
            Self { root }
        }
    }

    impl Source for Host {
        fn name(&self) -> &'static str {
            "host"
        }

        fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
            let uptime_s = uptime_s(&self.root.read("proc/uptime")?)
                .ok_or(SourceError::Format { file: "/proc/uptime", what: "number of seconds" })?;
            out.plain("system.uptime", uptime_s);
            Ok(())
        }
    }

    /// This machine's name, as the kernel has it.
    pub(crate) fn host_name() -> Option<String> {
        Root::system().read_optional("proc/sys/kernel/hostname").map(|name| name.trim().to_owned())
    }

    /// What this machine is. What cannot be read stays empty.
    pub(crate) fn inventory() -> pb::Inventory {
        read_inventory(&Root::system())
    }

    pub(crate) fn read_inventory(root: &Root) -> pb::Inventory {
        let read = |path: &str| root.read_optional(path).unwrap_or_default();
        let (cpuinfo, stat) = (read("proc/cpuinfo"), read("proc/stat"));
        let cores = stat.lines().take_while(|line| line.starts_with("cpu")).count().saturating_sub(1);
        pb::Inventory {
            os: os_name(&read("etc/os-release")),
            kernel: read("proc/sys/kernel/osrelease").trim().to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu_model: cpu_model(&cpuinfo),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            memory_bytes: memory::parse(&read("proc/meminfo")).map_or(0, |info| info.total),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_time_ms: boot_time_ms(&stat),
        }
    }

    /// Whole seconds: the kernel's hundredths would be noise in every frame.
    fn uptime_s(text: &str) -> Option<f64> {
        let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        (seconds.is_finite() && 0.0 <= seconds).then(|| seconds.floor())
    }

    fn os_name(os_release: &str) -> String {
        let value = |name: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "Linux".to_owned())
    }

    /// x86 says `model name`; boards say `Model` for the whole board, or nothing.
    fn cpu_model(cpuinfo: &str) -> String {
        let value = |wanted: &str| {
            let named = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            let mut values = named.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim());
            values.next().map(str::to_owned)
        };
        ["model name", "Model", "cpu model", "cpu"].into_iter().find_map(value).unwrap_or_default()
    }

    fn boot_time_ms(stat: &str) -> i64 {
        let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
        seconds.and_then(|seconds| seconds.checked_mul(1_000)).unwrap_or(0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::sources::testing::Machine;

        #[test]
        fn the_inventory_names_the_machine() {
            let machine = Machine::with(&[
                ("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
                ("proc/sys/kernel/osrelease", "6.12.1\n"),
                (
                    "proc/cpuinfo",
                    "processor\t: 0\nmodel name\t: Fast CPU @ 3: GHz\nprocessor\t: 1\nmodel name\t: Other\n",
                ),
                ("proc/stat", "cpu  1 1 1 1\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\nbtime 1763696400\n"),
                ("proc/meminfo", "MemTotal: 1024 kB\n"),
            ]);
            let inventory = read_inventory(&machine.root());
            assert_eq!(inventory.os, "Debian GNU/Linux 13 (trixie)");
            assert_eq!(inventory.cpu_model, "Fast CPU @ 3: GHz");
            assert_eq!((inventory.cores, inventory.memory_bytes), (2, 1024 * 1024));
            assert_eq!(inventory.boot_time_ms, 1_763_696_400_000);
        }

        #[test]
        fn what_cannot_be_read_stays_empty() {
            let inventory = read_inventory(&Machine::with(&[]).root());
            assert_eq!((inventory.os.as_str(), inventory.cores, inventory.boot_time_ms), ("Linux", 0, 0));
        }

        #[test]
        fn uptime_is_in_whole_seconds() {
            assert_eq!(uptime_s("3600.99 7000.12\n"), Some(3600.0));
            for text in ["", "x", "-1 2", "inf"] {
                assert_eq!(uptime_s(text), None, "{text:?}");
            }
        }
    }
}
