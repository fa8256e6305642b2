//! Exit: how a command ends, as supervisors and scripts see it.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Fine,
    /// Failed while running: worth a restart.
    Failed,
    /// The command line cannot be read.
    Usage,
    /// EX_CONFIG of sysexits: a restart with the same settings fails again.
    Config,
}

impl Exit {
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
