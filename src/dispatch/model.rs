//! The states of a job in the ledger.

use std::fmt;
use std::str::FromStr;

use deskhand_jobs::queue::State;
use serde::{Deserialize, Serialize};

/// Where a job is, as the database knows it.
///
/// ```text
/// waiting ──the last member of its batch ends──▶ pending
/// pending ──relay──▶ pushed ──keeper──▶ succeeded | dead | cancelled
///    ▲  │              │                             │
///    │  └──cancel──────┼──▶ cancelled                │
///    └── reconciler ───┘◀─────────── redrive ────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerState {
    /// Closes a batch, and waits for its members.
    Waiting,
    /// Waits in the database.
    Pending,
    /// The queue has it.
    Pushed,
    /// Ended well.
    Succeeded,
    /// Ended badly; waits for a person.
    Dead,
    /// Ended because somebody wanted so.
    Cancelled,
}

impl LedgerState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Pending, Self::Pushed, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// Returns the name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Pushed => "pushed",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Says whether the job has ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }

    /// Returns the state that an ending in the queue means here; `None` if the queue's state is no end.
    pub fn from_end(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::Succeeded),
            State::Dead => Some(Self::Dead),
            State::Cancelled => Some(Self::Cancelled),
            State::Scheduled | State::Ready | State::Running => None,
        }
    }
}

impl fmt::Display for LedgerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state of a job: it is waiting, pending, pushed, succeeded, dead or cancelled")]
pub struct NoState(String);

impl FromStr for LedgerState {
    type Err = NoState;

    fn from_str(text: &str) -> Result<Self, NoState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| NoState(text.to_owned()))
    }
}

crate::sql_text!(LedgerState);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_their_name() {
        for state in LedgerState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("scheduled".parse::<LedgerState>().is_err());
    }
}
