//! Story: what happens when in the five minutes of the demo and their epilogue, in both domains. Without a story every moment is calm.

/// What a processor lives through at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    Calm,
    /// It fails often and takes long.
    Degraded,
    /// Somebody spends stolen cards at one merchant.
    Fraud,
}

/// One act: from when, in seconds, and what a narrator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    pub begins_s: u64,
    pub title: &'static str,
    pub words: &'static str,
}

pub const DISK_FILLS_S: u64 = 60;
pub const DEGRADES_S: u64 = 120;
pub const FRAUD_S: u64 = 165;
pub const AWAY_S: u64 = 215;
pub const RECOVERY_S: u64 = 255;
pub const EPILOGUE_S: u64 = 300;
/// The minute in which all became well, a calm one behind it, and the lateness that it waits for.
pub const END_S: u64 = RECOVERY_S + 135;

/// In order.
pub const ACTS: [Act; 7] = [
    Act { begins_s: 0, title: "calm", words: "twelve machines and three payment processors; all are up, no alert" },
    Act {
        begins_s: DISK_FILLS_S,
        title: "a machine fills its disk",
        words: "shop-db-01 writes and writes; at 90 % demo-disk-full fires, and the machine moves to the top of the fleet",
    },
    Act {
        begins_s: DEGRADES_S,
        title: "a processor degrades",
        words: "the wallet declines a third of its payments and takes seconds: demo-failure-ratio and demo-slow-processor, once each",
    },
    Act {
        begins_s: FRAUD_S,
        title: "a fraud burst",
        words: "the card network sees one merchant only, thousands of euros at a time: demo-large-payment at once, demo-velocity when the minute is over",
    },
    Act {
        begins_s: AWAY_S,
        title: "the database is away",
        words: "the history takes no writes: /ready says degraded, the live view and the alerts go on, what cannot be stored waits on disk",
    },
    Act {
        begins_s: RECOVERY_S,
        title: "recovery",
        words: "the database is back and catches up in order; the disk is cleaned, the wallet is well",
    },
    Act {
        begins_s: EPILOGUE_S,
        title: "epilogue",
        words: "all is calm; what a rule on minutes has fired resolves once a minute without a breach is over",
    },
];

/// Which of the acts are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    is_played: bool,
}

impl Story {
    #[must_use]
    pub fn calm() -> Self {
        Self { is_played: false }
    }

    #[must_use]
    pub fn demo() -> Self {
        Self { is_played: true }
    }

    /// The first processor is the card network, the second the wallet.
    #[must_use]
    pub fn scene_of_processor(self, processor: u32, time_us: u64) -> Scene {
        match (processor, time_us / 1_000_000) {
            (1, DEGRADES_S..RECOVERY_S) if self.is_played => Scene::Degraded,
            (0, FRAUD_S..AWAY_S) if self.is_played => Scene::Fraud,
            _ => Scene::Calm,
        }
    }

    /// How full the disk of this machine is; none where the story says nothing of it.
    #[must_use]
    pub fn disk_of_machine(self, machine: u32, time_us: u64) -> Option<f64> {
        if !self.is_played || machine != 1 {
            return None;
        }
        let filled = |second: u64| 0.55 + 0.43 * (second.saturating_sub(DISK_FILLS_S) as f64 / 50.0).min(1.0);
        match time_us / 1_000_000 {
            second @ ..RECOVERY_S => Some(filled(second)),
            _ => Some(0.5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_acts_are_in_order_and_leave_time_for_a_calm_minute() {
        assert!(ACTS.windows(2).all(|pair| pair[0].begins_s < pair[1].begins_s));
        assert_eq!((ACTS[0].begins_s, EPILOGUE_S), (0, 300));
        const { assert!(RECOVERY_S + 60 + 60 + 10 < END_S) };
    }

    #[test]
    fn one_disk_fills_and_is_cleaned() {
        let full = |second: u64| Story::demo().disk_of_machine(1, second * 1_000_000).unwrap();
        assert!(full(30) < 0.6 && full(95) < 0.9 && full(105) > 0.9 && full(200) > 0.95 && full(260) < 0.6);
        assert_eq!(Story::demo().disk_of_machine(2, 0), None);
        assert_eq!(Story::calm().disk_of_machine(1, 200_000_000), None);
    }
}
