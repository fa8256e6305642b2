//! Temperatures, where the kernel shows them: chips of /sys/class/hwmon, and thermal zones that no chip stands for.

use std::collections::BTreeMap;

use super::root::Root;
use super::{Source, SourceError};
use crate::rate::round;
use crate::readings::Readings;

/// Servers show a few dozen; one driver gone wrong shows thousands.
const SENSORS_MAX: usize = 64;

pub(super) struct Temperature {
    root: Root,
}

impl Temperature {
    pub(super) fn new(root: Root) -> Self {
        Self { root }
    }

    fn chips(&self, found: &mut BTreeMap<String, f64>) {
        for chip in self.root.names("sys/class/hwmon") {
            let folder = format!("sys/class/hwmon/{chip}");
            let chip = self.name(&format!("{folder}/name")).unwrap_or(chip);
            for file in self.root.names(&folder) {
                let Some(number) = file.strip_suffix("_input").filter(|stem| stem.starts_with("temp")) else {
                    continue;
                };
                let label = self.name(&format!("{folder}/{number}_label")).unwrap_or_else(|| number.to_owned());
                self.add(format!("{chip} {label}"), &format!("{folder}/{file}"), found);
            }
        }
    }

    fn zones(&self, found: &mut BTreeMap<String, f64>) {
        for zone in self.root.names("sys/class/thermal") {
            // Cooling devices are in the same folder.
            if !zone.starts_with("thermal_zone") {
                continue;
            }
            let folder = format!("sys/class/thermal/{zone}");
            let kind = self.name(&format!("{folder}/type")).unwrap_or_else(|| zone.clone());
            self.add(kind, &format!("{folder}/temp"), found);
        }
    }

    fn add(&self, sensor: String, file: &str, found: &mut BTreeMap<String, f64>) {
        let Some(celsius) = self.root.read_optional(file).and_then(|text| celsius(&text)) else {
            return;
        };
        // Two drives of one driver carry one name.
        let names = std::iter::once(sensor.clone()).chain((2..).map(|n| format!("{sensor} #{n}")));
        let name = names.take(SENSORS_MAX).find(|name| !found.contains_key(name));
        if let Some(name) = name.filter(|_| found.len() < SENSORS_MAX) {
            found.insert(name, celsius);
        }
    }

    fn name(&self, file: &str) -> Option<String> {
        let text = self.root.read_optional(file)?;
        let name: String = text.trim().chars().filter(|c| !c.is_control()).collect();
        (!name.is_empty()).then_some(name)
    }
}

impl Source for Temperature {
    fn name(&self) -> &'static str {
        "temperature"
    }

    fn read(&mut self, _at_us: u64, out: &mut Readings) -> Result<(), SourceError> {
        let mut found = BTreeMap::new();
        self.chips(&mut found);
        // Zones mostly repeat what chips show, so they are for machines (boards, phones) without chips.
        if found.is_empty() {
            self.zones(&mut found);
        }
        for (sensor, celsius) in found {
            out.put("system.temperature", &[("sensor", &sensor)], celsius);
        }
        Ok(())
    }
}

/// The kernel gives thousandths. A sensor that is not connected shows what no machine survives.
fn celsius(text: &str) -> Option<f64> {
    let milli: i32 = text.trim().parse().ok()?;
    (-100_000..=250_000).contains(&milli).then(|| round(f64::from(milli) / 1_000.0, 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{Machine, read};

    #[test]
    fn sensors_carry_their_chip_and_label() {
        let machine = Machine::with(&[
            ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
            ("sys/class/hwmon/hwmon0/temp1_input", "45123\n"),
            ("sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n"),
            ("sys/class/hwmon/hwmon0/fan1_input", "1200\n"),
            ("sys/class/hwmon/hwmon1/name", "nvme\n"),
            ("sys/class/hwmon/hwmon1/temp1_input", "38000\n"),
            ("sys/class/hwmon/hwmon2/name", "nvme\n"),
            ("sys/class/hwmon/hwmon2/temp1_input", "39000\n"),
            ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
        ]);
        assert_eq!(
            read(&mut Temperature::new(machine.root()), 0),
            "system.temperature{sensor=\"coretemp Package id 0\"} 45.1\n\
             system.temperature{sensor=\"nvme temp1 #2\"} 39\n\
             system.temperature{sensor=\"nvme temp1\"} 38\n"
        );
    }

    #[test]
    fn zones_stand_in_where_there_are_no_chips() {
        let machine = Machine::with(&[
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "51000\n"),
            ("sys/class/thermal/cooling_device0/type", "fan\n"),
        ]);
        let text = read(&mut Temperature::new(machine.root()), 0);
        assert_eq!(text, "system.temperature{sensor=\"cpu-thermal\"} 51\n");
        assert_eq!(read(&mut Temperature::new(Machine::with(&[]).root()), 0), "");
    }

    #[test]
    fn what_is_no_temperature_is_passed_over() {
        for text in ["", "x", "45.1", "-274000", "999999", "99999999999"] {
            assert_eq!(celsius(text), None, "{text:?}");
        }
        assert_eq!(celsius("-5250\n"), Some(-5.3));
    }
}
