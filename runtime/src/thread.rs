//! Thread: how the kernel takes turns between this program's threads.

use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadPriorityValue};

const BATCH: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);

/// Makes the calling thread one for batch work (`SCHED_BATCH`): it gets as much of a core as before, but when it is woken it waits until
/// whoever runs there has had his turn, instead of taking the core from him (docs/adr/0032). Where the kernel refuses, everything stays as it was.
pub fn wait_for_turn() {
    if let Err(error) = batch() {
        tracing::debug!(event = "thread_stays_normal", %error, "a thread stays under the normal scheduling policy");
    }
}

fn batch() -> Result<(), Box<dyn std::error::Error>> {
    let nice = rustix::process::getpriority_process(None)?;
    let priority = staying(nice).ok_or("no priority of the library is this niceness")?;
    set_thread_priority_and_policy(thread_native_id(), priority, BATCH).map_err(|error| format!("{error:?}").into())
}

/// The priority that leaves a niceness (19 to -20) as it is: the library sets policy and niceness at once, and counts the latter its own way.
fn staying(nice: i32) -> Option<ThreadPriority> {
    let priorities = (0..=99_u8).filter_map(|number| ThreadPriorityValue::try_from(number).ok());
    priorities.map(ThreadPriority::Crossplatform).find(|priority| priority.to_posix(BATCH) == Ok(nice))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Niceness and policy of the calling thread: fields 19 and 41, counted behind the name.
    fn own() -> (i32, u32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[16].parse().unwrap(), fields[38].parse().unwrap())
    }

    #[test]
    fn a_thread_becomes_one_for_batch_work_as_nice_as_before() {
        const SCHED_BATCH: u32 = 3;
        let of_thread = || {
            let before = own();
            wait_for_turn();
            (before, own())
        };
        let (before, after) = std::thread::spawn(of_thread).join().unwrap();
        assert_eq!(after, (before.0, SCHED_BATCH));
    }

    #[test]
    fn each_niceness_has_a_priority_that_leaves_it() {
        assert!((-20..20).all(|nice| staying(nice).is_some()));
        assert_eq!(staying(20), None);
    }
}
