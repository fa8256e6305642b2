//! Refusal: why two processes do not run one graph, and what to do about it, in one sentence that both of them say.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("process {process} runs {theirs} and this is {ours}: install the same version everywhere")]
    Version { process: usize, theirs: String, ours: String },
    #[error(
        "process {process} has another hosts file: put the same one everywhere; the order of its lines counts, too"
    )]
    Hosts { process: usize },
    #[error(
        "process {process} has other settings, and some must be the same everywhere: compare what \
         `sysmonstm config print` shows there and here"
    )]
    Settings { process: usize },
    #[error(
        "the address of {name} leads to this process itself, process {process}: give each line of the hosts \
         file its own address"
    )]
    Itself { name: String, process: usize },
    #[error("the address of {name} leads to process {process}: correct the hosts file")]
    WrongDoor { name: String, process: usize },
    #[error("there is another process {process}: start each line of the hosts file once, with its own --process")]
    Twice { process: usize },
    /// It found something that this side does not see.
    #[error("process {process} refuses this one: its log says why")]
    Unsaid { process: usize },
}
