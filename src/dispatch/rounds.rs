//! When the loops of this process had their last good round: what a readiness door asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deskhand_jobs::outcome::chain;

/// A loop that keeps the process of its work, and how long it may go without a good round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loop {
    /// Its name, for people and figures.
    pub(super) name: &'static str,
    /// How long it may go without a good round: some of its rounds and their time-outs.
    pub(super) patience: Duration,
    /// Whether it has to have had a round before the process is ready.
    pub(super) at_once: bool,
}

#[derive(Debug, Clone)]
struct Past {
    of: Loop,
    begun: Instant,
    last_good: Option<Instant>,
    /// Since when rounds fail, and why the last did.
    trouble: Option<(Instant, String)>,
}

/// How a loop goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    /// The loop.
    pub name: &'static str,
    /// Whether it does its work.
    pub ok: bool,
    /// The time since its last good round; `None` if it has had none.
    pub last_good: Option<Duration>,
    /// The time since it began.
    pub begun: Duration,
    /// The time since which its rounds fail, and why the last did.
    pub trouble: Option<(Duration, String)>,
}

/// The loops and their last good rounds; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Arc<Mutex<BTreeMap<&'static str, Past>>>);

impl Rounds {
    /// Tells how each loop goes that runs here, by name.
    pub fn all(&self) -> Vec<Going> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Vec<Going> {
        self.lock().values().map(|past| past.going(now)).collect()
    }

    /// Notes that a loop begins.
    pub(super) fn begin(&self, of: Loop) {
        let past = Past { of, begun: Instant::now(), last_good: None, trouble: None };
        self.lock().entry(of.name).or_insert(past);
    }

    /// Notes a good round.
    pub(super) fn done(&self, of: Loop) {
        if let Some(past) = self.lock().get_mut(of.name) {
            (past.last_good, past.trouble) = (Some(Instant::now()), None);
        }
    }

    /// Notes a round that failed.
    pub(super) fn failed(&self, of: Loop, error: &(dyn std::error::Error + 'static)) {
        if let Some(past) = self.lock().get_mut(of.name) {
            let since = past.trouble.as_ref().map_or_else(Instant::now, |(since, _)| *since);
            past.trouble = Some((since, chain(error)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Past>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn going(&self, now: Instant) -> Going {
        let ago = |then: Instant| now.saturating_duration_since(then);
        let (begun, last_good) = (ago(self.begun), self.last_good.map(ago));
        let waits_for_first = last_good.is_none() && self.of.at_once;
        let ok = !waits_for_first && last_good.unwrap_or(begun) <= self.of.patience;
        let trouble = self.trouble.as_ref().map(|(since, why)| (ago(*since), why.clone()));
        Going { name: self.of.name, ok, last_good, begun, trouble }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Loop = Loop { name: "relay", patience: Duration::from_secs(30), at_once: true };
    const LATER: Loop = Loop { name: "auditor", patience: Duration::from_mins(10), at_once: false };

    fn ok(rounds: &Rounds, later: u64) -> Vec<(&'static str, bool)> {
        let going = rounds.at(Instant::now() + Duration::from_secs(later));
        going.into_iter().map(|going| (going.name, going.ok)).collect()
    }

    #[test]
    fn a_loop_without_a_good_round_in_time_does_not_work() {
        let rounds = Rounds::default();
        assert!(rounds.all().is_empty(), "none runs here");
        rounds.begin(AT_ONCE);
        rounds.begin(LATER);
        assert_eq!(ok(&rounds, 0), [("auditor", true), ("relay", false)], "one has time, the other has not");
        rounds.done(AT_ONCE);
        assert_eq!(ok(&rounds, 29), [("auditor", true), ("relay", true)]);
        assert_eq!(ok(&rounds, 31), [("auditor", true), ("relay", false)], "stuck, without any error");
        assert_eq!(ok(&rounds, 601), [("auditor", false), ("relay", false)], "it never had one");
    }

    #[test]
    fn trouble_is_told_with_its_beginning_and_its_last_reason_until_it_is_over() {
        let rounds = Rounds::default();
        rounds.begin(AT_ONCE);
        rounds.done(AT_ONCE);
        rounds.failed(AT_ONCE, &std::io::Error::other("first"));
        rounds.failed(AT_ONCE, &std::io::Error::other("second"));
        let going = rounds.at(Instant::now() + Duration::from_secs(7)).remove(0);
        let (since, why) = going.trouble.expect("it fails");
        assert!(going.ok && since >= Duration::from_secs(7) && why == "second", "{why} since {since:?}");
        rounds.done(AT_ONCE);
        assert_eq!(rounds.all()[0].trouble, None);
    }
}
