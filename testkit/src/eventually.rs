//! Eventually: polls until a value is what the test waits for, or fails with the last value seen.
//!
//! The one place in the tests that sleeps, and only between two looks: a condition that holds is seen within [`POLL_MAX`], so a
//! fast machine does not wait for a slow one's margin. The async form runs on tokio's clock, so under paused time it costs nothing.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The first pause; each one after it is twice as long. Most conditions hold within a millisecond or two.
const POLL_MIN: Duration = Duration::from_millis(1);
/// The longest pause: what a wait can overshoot by.
const POLL_MAX: Duration = Duration::from_millis(50);

/// The condition did not hold in time. `last` is the value that the last look found.
#[derive(Debug, thiserror::Error)]
#[error("still not so after {within:?} and {polls} looks; last seen: {last:?}")]
pub struct TimedOut<T: Debug> {
    pub last: T,
    pub within: Duration,
    pub polls: u32,
}

/// Calls `probe` until `is_done` says so of its value, and returns that value. Looks at least once, and once more at the deadline.
///
/// # Errors
/// [`TimedOut`] with the last value when `within` has passed.
pub async fn eventually<T, Probe, Pending>(
    within: Duration,
    mut probe: Probe,
    is_done: impl Fn(&T) -> bool,
) -> Result<T, TimedOut<T>>
where
    T: Debug,
    Probe: FnMut() -> Pending,
    Pending: Future<Output = T>,
{
    let deadline = tokio::time::Instant::now() + within;
    let mut pause = POLL_MIN;
    for polls in 1.. {
        let value = probe().await;
        if is_done(&value) {
            return Ok(value);
        }
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Err(TimedOut { last: value, within, polls });
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(POLL_MAX);
    }
    unreachable!("the deadline comes before the looks run out")
}

/// The same for a test without an async runtime.
///
/// # Errors
/// [`TimedOut`] with the last value when `within` has passed.
pub fn eventually_blocking<T: Debug>(
    within: Duration,
    mut probe: impl FnMut() -> T,
    is_done: impl Fn(&T) -> bool,
) -> Result<T, TimedOut<T>> {
    let started = Instant::now();
    let mut pause = POLL_MIN;
    for polls in 1.. {
        let value = probe();
        if is_done(&value) {
            return Ok(value);
        }
        let left = within.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(TimedOut { last: value, within, polls });
        }
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks at a condition with a deadline")]
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(POLL_MAX);
    }
    unreachable!("the deadline comes before the looks run out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn the_value_that_was_waited_for_comes_back() {
        let looks = AtomicU32::new(0);
        let seen = eventually(LONG, async || looks.fetch_add(1, Ordering::Relaxed), |n| *n == 20).await;
        assert_eq!(seen.unwrap(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_tells_the_last_value_and_comes_at_the_deadline() {
        let started = tokio::time::Instant::now();
        let error = eventually(LONG, async || "half done", |_| false).await.unwrap_err();
        assert_eq!(started.elapsed(), LONG);
        assert!(error.to_string().ends_with("last seen: \"half done\""), "{error}");
    }

    #[test]
    fn a_condition_that_holds_already_needs_no_time() {
        assert_eq!(eventually_blocking(Duration::ZERO, || 7, |n| *n == 7).unwrap(), 7);
    }

    #[test]
    fn without_a_runtime_the_deadline_ends_the_wait_too() {
        let error = eventually_blocking(Duration::from_millis(5), || 1, |n| *n == 2).unwrap_err();
        assert_eq!((error.last, error.within), (1, Duration::from_millis(5)));
    }
}
