//! What is known of each host that is called: how many calls are under way, whether it fails, and whether it asked to wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::circuit::{Circuit, Heard, Limits, Pass, Phase, Resting};
use super::policy::Trust;
use super::settings::Settings;
use crate::base::clock::later;

/// So many hosts are remembered; then those of which there is nothing to remember are forgotten.
const MANY: usize = 1_000;

/// Nobody may send us away for longer.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// Who we are for a host, as a hash: one secret is told from another without being kept.
pub(super) type Credential = [u8; 32];

/// The hosts. What users type is kept apart from what administrators set up: nobody may close the host of somebody else by typing
/// an address of it that fails.
#[derive(Debug)]
pub(super) struct Hosts {
    known: Mutex<HashMap<(Trust, String), Arc<Host>>>,
    limits: Limits,
    per_host: usize,
    /// How long a call waits for its place.
    patience: Duration,
}

#[derive(Debug)]
pub(super) struct Host {
    places: Arc<Semaphore>,
    gate: Mutex<Gate>,
    limits: Limits,
}

#[derive(Debug)]
struct Gate {
    circuit: Circuit,
    pauses: Pauses,
}

/// Why a call is not made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The host fails.
    Resting(Resting),
    /// The host asked to wait until then.
    Asked(DateTime<Utc>),
    /// So many calls are under way, and none ended in time.
    Crowded(usize),
}

impl Hosts {
    pub(super) fn new(settings: &Settings) -> Self {
        let seconds = |seconds: u64| TimeDelta::seconds(seconds as i64);
        let limits = Limits {
            failures: settings.circuit_failures,
            open_for: seconds(settings.circuit_open_s),
            probe_within: seconds(settings.timeout_s),
        };
        Self { known: Mutex::default(), limits, per_host: settings.per_host, patience: settings.timeout() }
    }

    /// Takes a place among the calls of a host, or says why there is none. `now` is asked again after a wait.
    pub(super) async fn enter(
        &self,
        (trust, origin): (Trust, &str),
        credential: Credential,
        now: impl Fn() -> DateTime<Utc>,
    ) -> Result<Place, Closed> {
        let host = self.host(trust, origin, now());
        host.gate().look(credential, &host.limits, now())?;
        let waiting = tokio::time::timeout(self.patience, Arc::clone(&host.places).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else { return Err(Closed::Crowded(self.per_host)) };
        let pass = {
            let mut gate = host.gate();
            gate.look(credential, &host.limits, now())?;
            gate.circuit.admit(&host.limits, now()).map_err(Closed::Resting)?
        };
        Ok(Place { host, pass: Some(pass), credential, _permit: permit, began: now() })
    }

    fn host(&self, trust: Trust, origin: &str, now: DateTime<Utc>) -> Arc<Host> {
        let mut known = lock(&self.known);
        if known.len() >= MANY {
            known.retain(|_, host| Arc::strong_count(host) > 1 || !lock(&host.gate).is_at_rest(now));
        }
        let make = || {
            let gate = Gate { circuit: Circuit::new(), pauses: Pauses::default() };
            let places = Arc::new(Semaphore::new(self.per_host));
            Arc::new(Host { places, gate: Mutex::new(gate), limits: self.limits })
        };
        Arc::clone(known.entry((trust, origin.to_owned())).or_insert_with(make))
    }
}

impl Host {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.gate)
    }
}

impl Gate {
    fn look(&mut self, credential: Credential, limits: &Limits, now: DateTime<Utc>) -> Result<(), Closed> {
        if let Some(until) = self.pauses.until(credential, now) {
            return Err(Closed::Asked(until));
        }
        self.circuit.look(limits, now).map_err(Closed::Resting)
    }

    fn is_at_rest(&self, now: DateTime<Utc>) -> bool {
        matches!(self.circuit.phase(), Phase::Closed { .. }) && self.pauses.are_over(now)
    }
}

/// Until when a host asked to be left alone.
///
/// A 429 is meant for who called too often: hosts count calls by account, and the account of one tenant must not silence that of
/// another, so it binds the credential that heard it. A 503 tells of the host and binds everybody.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    everybody: Option<DateTime<Utc>>,
    credentials: HashMap<Credential, DateTime<Utc>>,
}

impl Pauses {
    fn until(&self, credential: Credential, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.everybody.max(self.credentials.get(&credential).copied()).filter(|until| *until > now)
    }

    fn note(&mut self, who: Option<Credential>, wait: Duration, now: DateTime<Utc>) {
        let until = later(now, wait.min(LONGEST_PAUSE));
        match who {
            None => self.everybody = self.everybody.max(Some(until)),
            Some(credential) => {
                self.credentials.retain(|_, until| *until > now);
                self.credentials.insert(credential, until);
            }
        }
    }

    fn are_over(&self, now: DateTime<Utc>) -> bool {
        self.everybody.into_iter().chain(self.credentials.values().copied()).all(|until| until <= now)
    }
}

/// A place among the calls of a host; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    host: Arc<Host>,
    pass: Option<Pass>,
    credential: Credential,
    _permit: OwnedSemaphorePermit,
    began: DateTime<Utc>,
}

impl Place {
    /// Takes in what the call heard; returns where the circuit stands then.
    pub(super) fn heard(&mut self, heard: Heard, now: DateTime<Utc>) -> Phase {
        let mut gate = self.host.gate();
        if let Some(pass) = self.pass.take() {
            gate.circuit.note(pass, heard, &self.host.limits, now);
        }
        gate.circuit.phase()
    }

    /// Takes in that the host wants to be left alone for so long: by this credential, or by everybody.
    pub(super) fn pause(&self, everybody: bool, wait: Duration, now: DateTime<Utc>) {
        let who = (!everybody).then_some(self.credential);
        self.host.gate().pauses.note(who, wait, now);
    }
}

impl Drop for Place {
    /// A call that was given up has heard nothing; if it was the one that tries, the next may.
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.host.gate().circuit.note(pass, Heard::Nothing, &self.host.limits, self.began);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    #[test]
    fn a_429_binds_its_credential_and_a_503_everybody() {
        let (one, other) = ([1; 32], [2; 32]);
        let mut pauses = Pauses::default();
        pauses.note(Some(one), Duration::from_secs(10), at(0));
        assert_eq!((pauses.until(one, at(9)), pauses.until(other, at(9))), (Some(at(10)), None));
        assert_eq!(pauses.until(one, at(10)), None);
        pauses.note(None, Duration::from_secs(20), at(0));
        assert_eq!((pauses.until(one, at(9)), pauses.until(other, at(9))), (Some(at(20)), Some(at(20))));
        pauses.note(None, Duration::from_secs(1), at(0));
        assert_eq!(pauses.until(other, at(9)), Some(at(20)), "a shorter wait does not end a longer one");
        assert!(!pauses.are_over(at(19)) && pauses.are_over(at(20)));
        pauses.note(None, Duration::MAX, at(0));
        assert_eq!(pauses.until(other, at(86_399)), Some(at(86_400)), "a day at most");
    }

    #[tokio::test]
    async fn hosts_of_which_there_is_nothing_to_remember_are_forgotten() {
        let hosts = Hosts {
            known: Mutex::default(),
            limits: Limits { failures: 1, open_for: TimeDelta::seconds(30), probe_within: TimeDelta::seconds(30) },
            per_host: 1,
            patience: Duration::ZERO,
        };
        let now = || at(0);
        let mut failing = hosts.enter((Trust::User, "http://failing"), [0; 32], now).await.expect("free");
        failing.heard(Heard::Failure(super::super::circuit::Saw::Status(500)), at(0));
        drop(failing);
        let busy = hosts.enter((Trust::User, "http://busy"), [0; 32], now).await.expect("free");
        for number in 0..3 * MANY {
            hosts.enter((Trust::User, &format!("http://h{number}")), [0; 32], now).await.expect("free");
        }
        let refused = async |trust, origin| hosts.enter((trust, origin), [0; 32], now).await.err();
        assert!(lock(&hosts.known).len() <= MANY + 2);
        assert!(matches!(refused(Trust::User, "http://failing").await, Some(Closed::Resting(_))));
        assert_eq!(refused(Trust::User, "http://busy").await, Some(Closed::Crowded(1)));
        assert_eq!(refused(Trust::Admin, "http://failing").await, None, "what users type is kept apart");
        drop(busy);
        assert_eq!(refused(Trust::User, "http://busy").await, None);
    }
}
