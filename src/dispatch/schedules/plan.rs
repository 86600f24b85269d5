//! Which of the slots that are due fire, wait or are passed over: a pure decision.
//!
//! Whenever several slots have to become one, the latest stays and the others say so: after downtime, behind a job that has not
//! ended, at the end of a freeze window. What a job does, it does for the time at which it runs, and the latest slot is the nearest.

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{CatchUp, Overlap};
use crate::dispatch::freezes::{Freeze, Policy};

/// A slot no later than this was not missed.
const IN_TIME: TimeDelta = TimeDelta::seconds(60);

/// A slot and when it fires: the slot plus its jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) slot_at: DateTime<Utc>,
    pub(super) fire_at: DateTime<Utc>,
}

/// A slot to be decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) due: Due,
    /// Whether it waited already, for a job or for the end of a window.
    pub(super) held: bool,
    /// What the calendar said at the instant at which it was to fire.
    pub(super) frozen: Option<Freeze>,
}

/// What the schedule says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) catch_up: CatchUp,
    pub(super) catch_up_max: i64,
    pub(super) overlap: Overlap,
}

/// How things stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present<'a> {
    pub(super) now: DateTime<Utc>,
    /// The job of the slot before, if it has not ended.
    pub(super) running: Option<&'a str>,
    /// What the calendar says now.
    pub(super) frozen: Option<&'a Freeze>,
}

/// What becomes of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Fire,
    Skip(String),
    /// It waits for a job.
    Wait(String),
    /// The window passes it over or defers it, as its policy says.
    Freeze(Freeze),
}

/// Decides on slots, the oldest first. At most one of them waits or is deferred.
pub(super) fn decide(slots: &[Candidate], rules: Rules, present: Present<'_>) -> Vec<Decision> {
    let mut plan = Plan { slots, decisions: vec![None; slots.len()] };
    plan.frozen_then();
    plan.catch_up(rules, present.now);
    match (rules.overlap, present.running, present.frozen) {
        // A slot that waits is judged by the calendar when it would fire.
        (Overlap::Queue, Some(job), _) => plan.keep_latest(&Decision::Wait(unended(job))),
        (_, _, Some(freeze)) if freeze.policy == Policy::Skip => plan.all(&Decision::Freeze(freeze.clone())),
        (_, _, Some(freeze)) => plan.keep_latest(&Decision::Freeze(freeze.clone())),
        (Overlap::Skip, Some(job), None) => plan.all(&Decision::Skip(unended(job))),
        (Overlap::Allow, _, None) => plan.all(&Decision::Fire),
        (Overlap::Skip, None, None) => {
            plan.first(Decision::Fire);
            plan.all(&Decision::Skip("the job of the slot before was enqueued at this moment".to_owned()));
        }
        (Overlap::Queue, None, None) => {
            plan.first(Decision::Fire);
            plan.keep_latest(&Decision::Wait("the job of the slot before was enqueued at this moment".to_owned()));
        }
    }
    plan.decisions.into_iter().map(|decision| decision.expect("every slot has been decided on")).collect()
}

fn unended(job: &str) -> String {
    format!("job {job} of the slot before has not ended")
}

struct Plan<'a> {
    slots: &'a [Candidate],
    decisions: Vec<Option<Decision>>,
}

impl Plan<'_> {
    fn open(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|place| self.decisions[*place].is_none()).collect()
    }

    /// Windows in which slots were to fire: those that skip have decided, of those that were deferred the latest stays.
    fn frozen_then(&mut self) {
        let deferred = |slot: &Candidate| slot.frozen.as_ref().is_some_and(|freeze| freeze.policy == Policy::Defer);
        let latest = self.slots.iter().rposition(deferred);
        for (place, slot) in self.slots.iter().enumerate() {
            match &slot.frozen {
                Some(freeze) if freeze.policy == Policy::Skip => {
                    self.decisions[place] = Some(Decision::Freeze(freeze.clone()));
                }
                Some(_) if latest != Some(place) => self.decisions[place] = Some(self.displaced(latest)),
                _ => {}
            }
        }
    }

    /// Passes over what was missed and is not made up for.
    fn catch_up(&mut self, rules: Rules, now: DateTime<Utc>) {
        let in_time = |slot: &Candidate| {
            let fire_at = slot.frozen.as_ref().map_or(slot.due.fire_at, |freeze| freeze.until);
            slot.held || now - fire_at <= IN_TIME
        };
        let open = self.open();
        let (wanted, left): (usize, Vec<usize>) = match rules.catch_up {
            CatchUp::Latest => (1, open.clone()),
            CatchUp::All => (usize::try_from(rules.catch_up_max).unwrap_or(0).max(1), open.clone()),
            CatchUp::None => (1, open.iter().copied().filter(|place| in_time(&self.slots[*place])).collect()),
        };
        let chosen = &left[left.len().saturating_sub(wanted)..];
        for place in open.into_iter().filter(|place| !chosen.contains(place)) {
            let missed = Decision::Skip("missed: no scheduler ran in time".to_owned());
            let is_held = self.slots[place].held;
            self.decisions[place] = Some(if is_held { self.displaced(chosen.last().copied()) } else { missed });
        }
    }

    /// Decides on all that are open.
    fn all(&mut self, decision: &Decision) {
        for place in self.open() {
            self.decisions[place] = Some(decision.clone());
        }
    }

    /// Decides on the first that is open.
    fn first(&mut self, decision: Decision) {
        if let Some(place) = self.open().first() {
            self.decisions[*place] = Some(decision);
        }
    }

    /// Decides on the latest that is open, and passes over the others in its favour.
    fn keep_latest(&mut self, decision: &Decision) {
        let mut open = self.open();
        let latest = open.pop();
        for place in open {
            self.decisions[place] = Some(self.displaced(latest));
        }
        self.all(decision);
    }

    fn displaced(&self, by: Option<usize>) -> Decision {
        let by = by.map_or_else(String::new, |place| format!(" at {}", self.slots[place].due.slot_at.to_rfc3339()));
        Decision::Skip(format!("the later slot{by} took its place"))
    }
}

#[cfg(test)]
mod tests {
    use super::CatchUp::{All, Latest, None as Never};
    use super::Overlap::{Allow, Queue, Skip};
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1)
    }

    fn freeze(policy: Policy, until: DateTime<Utc>) -> Freeze {
        Freeze { window: "w".to_owned(), reason: "r".to_owned(), policy, until }
    }

    /// A slot so many minutes ago: `h` waited already, `s` fell into a window that skips, `d` into one that deferred it to now, `e`
    /// into one that deferred it to ten minutes ago.
    fn slot(text: &str) -> Candidate {
        let (minutes, mark) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let at = now() - TimeDelta::minutes(minutes.parse().expect("a number"));
        let frozen = match mark {
            "s" => Some(freeze(Policy::Skip, now())),
            "d" => Some(freeze(Policy::Defer, now())),
            "e" => Some(freeze(Policy::Defer, now() - TimeDelta::minutes(10))),
            _ => None,
        };
        Candidate { due: Due { slot_at: at, fire_at: at }, held: mark == "h", frozen }
    }

    fn word(decision: &Decision) -> &'static str {
        match decision {
            Decision::Fire => "fire",
            Decision::Skip(reason) if reason.starts_with("missed") => "missed",
            Decision::Skip(reason) if reason.starts_with("the later slot") => "displaced",
            Decision::Skip(_) => "overlap",
            Decision::Wait(_) => "wait",
            Decision::Freeze(freeze) if freeze.policy == Policy::Skip => "frozen",
            Decision::Freeze(_) => "defer",
        }
    }

    #[test]
    fn policies_decide_what_becomes_of_slots() {
        let (skips, defers) = (freeze(Policy::Skip, now()), freeze(Policy::Defer, now()));
        let (s, d) = (Some(&skips), Some(&defers));
        for (slots, catch_up, overlap, running, frozen, expected) in [
            ("0", (Latest, 1), Skip, None, None, "fire"),
            ("0", (Latest, 1), Skip, Some("7"), None, "overlap"),
            ("0", (Latest, 1), Allow, Some("7"), None, "fire"),
            ("3 2 1", (Latest, 1), Skip, None, None, "missed missed fire"),
            ("3 2 1", (All, 2), Allow, None, None, "missed fire fire"),
            ("3 2 1", (All, 2), Skip, None, None, "missed fire overlap"),
            ("3 2 1", (All, 99), Allow, None, None, "fire fire fire"),
            ("3 2 1", (Never, 1), Skip, None, None, "missed missed fire"),
            ("3 2", (Never, 1), Skip, None, None, "missed missed"),
            ("", (Latest, 1), Skip, None, None, ""),
            // Behind a job.
            ("0", (Latest, 1), Queue, None, None, "fire"),
            ("0", (Latest, 1), Queue, Some("7"), None, "wait"),
            ("9h", (Latest, 1), Queue, Some("7"), None, "wait"),
            ("9h", (Latest, 1), Queue, None, None, "fire"),
            ("9h", (Never, 1), Queue, None, None, "fire"),
            ("9h 0", (Latest, 1), Queue, Some("7"), None, "displaced wait"),
            ("9h 0", (Latest, 1), Queue, None, None, "displaced fire"),
            ("9h 2", (Never, 1), Queue, None, None, "fire missed"),
            ("3 2 1", (All, 3), Queue, None, None, "fire displaced wait"),
            ("9h", (Latest, 1), Skip, Some("7"), None, "overlap"),
            ("9h", (Latest, 1), Allow, Some("7"), None, "fire"),
            // In a window now.
            ("0", (Latest, 1), Skip, None, s, "frozen"),
            ("0", (Latest, 1), Allow, None, d, "defer"),
            ("0", (Latest, 1), Skip, Some("7"), d, "defer"),
            ("2 1 0", (All, 9), Allow, None, d, "displaced displaced defer"),
            ("2 1 0", (All, 9), Allow, None, s, "frozen frozen frozen"),
            ("0", (Latest, 1), Queue, Some("7"), d, "wait"),
            ("9h", (Latest, 1), Queue, Some("7"), s, "wait"),
            ("9h", (Latest, 1), Queue, None, s, "frozen"),
            ("9h", (Latest, 1), Queue, None, d, "defer"),
            ("9h 0d", (Latest, 1), Allow, None, d, "displaced defer"),
            // In a window that is over.
            ("5s 0", (Latest, 1), Allow, None, None, "frozen fire"),
            ("6s 5s", (Latest, 1), Allow, None, None, "frozen frozen"),
            ("6d 5d", (Latest, 1), Allow, None, None, "displaced fire"),
            ("6d 5d 0", (All, 9), Allow, None, None, "displaced fire fire"),
            ("6d 5d", (Never, 1), Allow, None, None, "displaced fire"),
            ("20e", (Never, 1), Allow, None, None, "missed"),
        ] {
            let candidates: Vec<Candidate> = slots.split_whitespace().map(slot).collect();
            let rules = Rules { catch_up: catch_up.0, catch_up_max: catch_up.1, overlap };
            let decided = decide(&candidates, rules, Present { now: now(), running, frozen });
            let decided: Vec<&str> = decided.iter().map(word).collect();
            assert_eq!(decided.join(" "), expected, "{slots}: {catch_up:?} {overlap:?} {running:?} {frozen:?}");
        }
    }
}
