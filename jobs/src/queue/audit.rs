//! The audit: proves that each job of a queue is in exactly one place, and that nothing is left of what is gone.
//!
//! It reads in bounded parts while the queue goes on. Jobs move between the parts, so what looks wrong across two of them is only a
//! suspicion; the store proves each one in a single instant before it is reported or repaired.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::id::JobId;

/// An audit ends when it has found so many; the next one finds the others.
pub const MOST_DRIFT: usize = 1_000;

/// What an audit of one queue found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// How many jobs were looked at.
    pub checked: u64,
    /// What is not as it has to be; no more than about [`MOST_DRIFT`].
    pub drift: Vec<Drift>,
}

/// One thing that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Drift {
    /// What is wrong.
    pub kind: DriftKind,
    /// Which job it is about, if it is about one.
    pub id: Option<JobId>,
    /// What it is about besides: the place, the unique key, the worker, the count.
    pub what: String,
    /// Whether it is in order now.
    pub repaired: bool,
}

/// The ways in which a store can contradict itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A job in no place: nobody would ever run it. Repaired, it is ready.
    Homeless,
    /// A job in two places. Repaired, it is in one: running before ready before scheduled before dead.
    Doubled,
    /// An entry of a place, or what is kept beside a job, without the job. Repaired, it is gone.
    Dangling,
    /// A unique key that is held for a job that does not hold it any more. Repaired, it is free.
    HeldKey,
    /// A job asked to stop that does not run. Repaired, it is not asked.
    IdleStop,
    /// Jobs of a worker that the store does not know: nobody would take them back. Repaired, the worker counts as dead, and the next
    /// beat of another takes them.
    UnknownWorker,
    /// A sealed batch that waits for nobody. Repaired, its closing job is made.
    Unclosed,
    /// A count that is not the number of what it counts. Repaired, it is.
    Count,
}

impl DriftKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Homeless,
        Self::Doubled,
        Self::Dangling,
        Self::HeldKey,
        Self::IdleStop,
        Self::UnknownWorker,
        Self::Unclosed,
        Self::Count,
    ];

    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Homeless => "homeless",
            Self::Doubled => "doubled",
            Self::Dangling => "dangling",
            Self::HeldKey => "held_key",
            Self::IdleStop => "idle_stop",
            Self::UnknownWorker => "unknown_worker",
            Self::Unclosed => "unclosed",
            Self::Count => "count",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for DriftKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Collects what the parts of an audit found. A store that is read in parts shows some things twice.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) checked: u64,
    drift: BTreeSet<Drift>,
}

impl Findings {
    pub(super) fn add(&mut self, drift: Drift) {
        self.drift.insert(drift);
    }

    pub(super) fn is_full(&self) -> bool {
        self.drift.len() >= MOST_DRIFT
    }

    pub(super) fn done(self) -> Audit {
        Audit { checked: self.checked, drift: self.drift.into_iter().collect() }
    }
}

/// Compares what has to be in a list with what is there, where both were read in parts.
#[derive(Default)]
pub(super) struct Roll {
    expected: HashSet<JobId>,
    met: HashSet<JobId>,
    twice: BTreeSet<JobId>,
}

impl Roll {
    /// Notes a job that has to be in the list.
    pub(super) fn expect(&mut self, id: JobId) {
        self.expected.insert(id);
    }

    /// Notes an entry of the list.
    pub(super) fn meet(&mut self, id: JobId) {
        if self.expected.remove(&id) {
            self.met.insert(id);
        } else if self.met.contains(&id) {
            self.twice.insert(id);
        }
    }

    /// Returns who may be missing and who may be there twice.
    pub(super) fn suspects(self) -> (Vec<JobId>, Vec<JobId>) {
        let mut missing: Vec<JobId> = self.expected.into_iter().collect();
        missing.sort_unstable();
        (missing, self.twice.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kinds_are_read_back() {
        for kind in DriftKind::ALL {
            assert_eq!(DriftKind::from_name(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.as_str());
        }
    }

    #[test]
    fn a_roll_suspects_who_did_not_answer_and_who_answered_twice() {
        let [missing, there, twice, late] = [(); 4].map(|()| JobId::new());
        let mut roll = Roll::default();
        for id in [missing, there, twice] {
            roll.expect(id);
        }
        // Who came after the roll was written is no business of it.
        for id in [there, twice, late, twice, late] {
            roll.meet(id);
        }
        assert_eq!(roll.suspects(), (vec![missing], vec![twice]));
    }

    #[test]
    fn what_is_found_twice_counts_once() {
        let drift = Drift { kind: DriftKind::Dangling, id: Some(JobId::new()), what: "due".into(), repaired: false };
        let mut findings = Findings::default();
        findings.add(drift.clone());
        findings.add(drift.clone());
        assert_eq!(findings.done().drift, [drift]);
    }
}
