//! Crowd: who may come in. Viewers, connections and requests are limited per address and in all; what is refused has a reason and a count.
//!
//! An address is what a person has: of IPv6 the network of a household (/64), because each of them has more addresses than can be counted.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use runtime::clock::SharedClock;

/// Addresses that are kept count of. One that is idle is forgotten when room is needed.
const VISITORS_MAX: usize = 65_536;
/// Between two searches for idle ones.
const SWEEP_EVERY_US: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrowdLimits {
    /// Open WebSockets, in all and of one address.
    pub viewers_max: usize,
    pub viewers_per_address_max: usize,
    /// Connections of one address that wait for a request or answer one.
    pub connections_per_address_max: usize,
    /// Requests of one address, over time and at once.
    pub requests_per_s: u32,
    pub requests_burst: u32,
}

/// Of what there is too much already; the text is the counter's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Viewers,
    ViewersOfAddress,
    Requests,
    /// More addresses than can be kept count of.
    Addresses,
}

pub(super) struct Crowd {
    limits: CrowdLimits,
    clock: SharedClock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    visitors: HashMap<IpAddr, Visitor>,
    viewers: usize,
    swept_us: u64,
}

struct Visitor {
    viewers: usize,
    connections: usize,
    /// Requests that it may still send at once, as of a moment.
    requests: f64,
    at_us: u64,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Viewer,
    Connection,
}

/// A place that is held until it is dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    address: IpAddr,
    place: Place,
}

impl Default for CrowdLimits {
    fn default() -> Self {
        Self {
            viewers_max: 10_000,
            viewers_per_address_max: 100,
            connections_per_address_max: 100,
            requests_per_s: 20,
            requests_burst: 200,
        }
    }
}

impl Refusal {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewers => "too_many_viewers",
            Self::ViewersOfAddress => "too_many_viewers_of_address",
            Self::Requests => "too_many_requests",
            Self::Addresses => "too_many_addresses",
        }
    }
}

impl Crowd {
    pub(super) fn new(limits: CrowdLimits, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { limits, clock, inner: Mutex::default() })
    }

    pub(super) fn viewers(&self) -> usize {
        self.lock().viewers
    }

    /// One more request of this address.
    pub(super) fn request(&self, address: IpAddr) -> Result<(), Refusal> {
        let now_us = self.clock.monotonic_us();
        let mut inner = self.lock();
        let visitor = inner.visitor(household(address), self.limits, now_us)?;
        visitor.refill(self.limits, now_us);
        if visitor.requests < 1.0 {
            return Err(Refusal::Requests);
        }
        visitor.requests -= 1.0;
        Ok(())
    }

    /// A place for one more viewer.
    pub(super) fn viewer(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Refusal> {
        let address = household(address);
        let mut inner = self.lock();
        if self.limits.viewers_max <= inner.viewers {
            return Err(Refusal::Viewers);
        }
        let visitor = inner.visitor(address, self.limits, self.clock.monotonic_us())?;
        if self.limits.viewers_per_address_max <= visitor.viewers {
            return Err(Refusal::ViewersOfAddress);
        }
        visitor.viewers += 1;
        inner.viewers += 1;
        Ok(Seat { crowd: Arc::clone(self), address, place: Place::Viewer })
    }

    /// A place for one more connection; none when its address has enough.
    pub(super) fn connection(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = household(address);
        let mut inner = self.lock();
        let visitor = inner.visitor(address, self.limits, self.clock.monotonic_us()).ok()?;
        if self.limits.connections_per_address_max <= visitor.connections {
            return None;
        }
        visitor.connections += 1;
        Some(Seat { crowd: Arc::clone(self), address, place: Place::Connection })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a number or an entry, whole at each step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn visitor(&mut self, address: IpAddr, limits: CrowdLimits, now_us: u64) -> Result<&mut Visitor, Refusal> {
        if VISITORS_MAX <= self.visitors.len() && !self.visitors.contains_key(&address) {
            self.sweep(limits, now_us);
            if VISITORS_MAX <= self.visitors.len() {
                return Err(Refusal::Addresses);
            }
        }
        let fresh =
            || Visitor { viewers: 0, connections: 0, requests: f64::from(limits.requests_burst), at_us: now_us };
        Ok(self.visitors.entry(address).or_insert_with(fresh))
    }

    fn sweep(&mut self, limits: CrowdLimits, now_us: u64) {
        if now_us < self.swept_us + SWEEP_EVERY_US {
            return;
        }
        self.swept_us = now_us;
        self.visitors.retain(|_, visitor| {
            visitor.refill(limits, now_us);
            let is_idle = visitor.viewers + visitor.connections == 0;
            !is_idle || visitor.requests < f64::from(limits.requests_burst)
        });
    }
}

impl Visitor {
    fn refill(&mut self, limits: CrowdLimits, now_us: u64) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a process stay far below 2^53")]
        let passed_s = now_us.saturating_sub(self.at_us) as f64 / 1e6;
        let requests = self.requests + passed_s * f64::from(limits.requests_per_s);
        self.requests = requests.min(f64::from(limits.requests_burst));
        self.at_us = now_us;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.crowd.lock();
        let Some(visitor) = inner.visitors.get_mut(&self.address) else { return };
        match self.place {
            Place::Viewer => {
                visitor.viewers -= 1;
                inner.viewers -= 1;
            }
            Place::Connection => visitor.connections -= 1,
        }
    }
}

fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::clock::ManualClock;

    use super::*;

    fn crowd(limits: CrowdLimits) -> (ManualClock, Arc<Crowd>) {
        let clock = ManualClock::at(0);
        (clock.clone(), Crowd::new(limits, clock.shared()))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn viewers_are_limited_per_address_and_in_all_and_leave_their_place() {
        let limits = CrowdLimits { viewers_max: 3, viewers_per_address_max: 2, ..CrowdLimits::default() };
        let (_clock, crowd) = crowd(limits);
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let first = crowd.viewer(one).ok().unwrap();
        let _second = crowd.viewer(one).ok().unwrap();
        assert_eq!(crowd.viewer(one).err(), Some(Refusal::ViewersOfAddress));
        let _third = crowd.viewer(other).ok().unwrap();
        assert_eq!(crowd.viewer(other).err(), Some(Refusal::Viewers));
        drop(first);
        assert!(crowd.viewer(other).is_ok());
    }

    #[test]
    fn a_household_is_one_visitor() {
        let (_clock, crowd) = crowd(CrowdLimits { connections_per_address_max: 1, ..CrowdLimits::default() });
        let _seat = crowd.connection(address("2001:db8::1")).unwrap();
        assert!(crowd.connection(address("2001:db8::ffff")).is_none());
        assert!(crowd.connection(address("2001:db8:0:1::1")).is_some());
        let _seat = crowd.connection(address("::ffff:10.0.0.1")).unwrap();
        assert!(crowd.connection(address("10.0.0.1")).is_none());
    }

    #[test]
    fn requests_come_back_with_time() {
        let limits = CrowdLimits { requests_per_s: 2, requests_burst: 3, ..CrowdLimits::default() };
        let (clock, crowd) = crowd(limits);
        let one = address("10.0.0.1");
        for _ in 0..3 {
            crowd.request(one).unwrap();
        }
        assert_eq!(crowd.request(one), Err(Refusal::Requests));
        crowd.request(address("10.0.0.2")).unwrap();
        clock.advance(Duration::from_millis(500));
        crowd.request(one).unwrap();
        assert_eq!(crowd.request(one), Err(Refusal::Requests));
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_the_idle_ones_make_room() {
        let (clock, crowd) = crowd(CrowdLimits::default());
        let _kept = crowd.viewer(address("10.255.255.255")).ok().unwrap();
        for index in 0..2 * u32::try_from(VISITORS_MAX).unwrap() {
            let outcome = crowd.request(IpAddr::V4(index.into()));
            assert_eq!(outcome.is_ok(), index + 1 < u32::try_from(VISITORS_MAX).unwrap());
        }
        assert_eq!(crowd.lock().visitors.len(), VISITORS_MAX);
        assert_eq!(crowd.request(address("172.16.0.1")), Err(Refusal::Addresses));
        clock.advance(Duration::from_secs(60));
        crowd.request(address("172.16.0.1")).unwrap();
        assert_eq!(crowd.lock().visitors.len(), 2);
        assert_eq!(crowd.viewers(), 1);
    }
}
