//! When a host is left alone because it fails. Pure: the time is an argument.
//!
//! ```text
//!            n failures in a row                the time is over
//!   closed ──────────────────────▶ open ────────────────────────▶ half-open: one call tries
//!     ▲                             ▲                                  │            │
//!     └──────── it answers ─────────┼──────────────────────────────────┘            │
//!                                   └───────────────── it fails ────────────────────┘
//! ```

use chrono::{DateTime, TimeDelta, Utc};

/// When a circuit opens and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Failures in a row; 0 means that it never opens.
    pub(super) failures: u32,
    /// How long it stays open.
    pub(super) open_for: TimeDelta,
    /// How long the call that tries may take; then another may try.
    pub(super) probe_within: TimeDelta,
}

/// What a call heard of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// An answer, whatever it says.
    Answer,
    /// An answer of the kind 5xx, or none, in a few words.
    Failure(Saw),
    /// Nothing, and that is not the host's fault: the call was given up.
    Nothing,
}

/// What a failure looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saw {
    /// An answer with this status.
    Status(u16),
    /// No answer.
    Trouble(&'static str),
}

impl std::fmt::Display for Saw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Trouble(what) => f.write_str(what),
        }
    }
}

/// The permission for one call. What it hears counts only while the circuit is still in the phase that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass(u64);

/// Why a call is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resting {
    /// Until when.
    pub(super) until: DateTime<Utc>,
    /// What the last failure looked like.
    pub(super) saw: Saw,
}

/// The circuit of one host.
#[derive(Debug)]
pub(super) struct Circuit {
    phase: Phase,
    /// Counts the phases.
    epoch: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed { failures: u32 },
    Open { since: DateTime<Utc>, saw: Saw },
    HalfOpen { since: DateTime<Utc>, saw: Saw },
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Closed { failures: 0 }, epoch: 0 }
    }

    /// Returns where it stands.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Says whether a call would be let through now, without letting it.
    pub(super) fn look(&mut self, limits: &Limits, now: DateTime<Utc>) -> Result<(), Resting> {
        let (since, saw, wait) = match &mut self.phase {
            Phase::Closed { .. } => return Ok(()),
            Phase::Open { since, saw } => (since, *saw, limits.open_for),
            Phase::HalfOpen { since, saw } => (since, *saw, limits.probe_within),
        };
        // A clock that was set back must not keep a host closed for longer than is meant.
        *since = now.min(*since);
        let until = *since + wait;
        if now >= until { Ok(()) } else { Err(Resting { until, saw }) }
    }

    /// Lets a call through, or says until when none is made.
    pub(super) fn admit(&mut self, limits: &Limits, now: DateTime<Utc>) -> Result<Pass, Resting> {
        self.look(limits, now)?;
        if let Phase::Open { saw, .. } | Phase::HalfOpen { saw, .. } = self.phase {
            self.enter(Phase::HalfOpen { since: now, saw });
        }
        Ok(Pass(self.epoch))
    }

    /// Takes in what a call heard.
    pub(super) fn note(&mut self, pass: Pass, heard: Heard, limits: &Limits, now: DateTime<Utc>) {
        if pass.0 != self.epoch {
            return;
        }
        match (self.phase, heard) {
            (Phase::Closed { .. }, Heard::Answer) => self.phase = Phase::Closed { failures: 0 },
            (Phase::Closed { failures }, Heard::Failure(saw)) => {
                let failures = failures.saturating_add(1);
                if limits.failures > 0 && failures >= limits.failures {
                    self.enter(Phase::Open { since: now, saw });
                } else {
                    self.phase = Phase::Closed { failures };
                }
            }
            (Phase::HalfOpen { .. }, Heard::Answer) => self.enter(Phase::Closed { failures: 0 }),
            (Phase::HalfOpen { .. }, Heard::Failure(saw)) => self.enter(Phase::Open { since: now, saw }),
            // The next call tries.
            (Phase::HalfOpen { saw, .. }, Heard::Nothing) => {
                self.enter(Phase::Open { since: now - limits.open_for, saw });
            }
            (Phase::Closed { .. }, Heard::Nothing) | (Phase::Open { .. }, _) => {}
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { failures: 3, open_for: TimeDelta::seconds(30), probe_within: TimeDelta::seconds(10) };
    const BAD: Heard = Heard::Failure(Saw::Status(502));

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn fail(circuit: &mut Circuit, times: u32, seconds: i64) {
        for _ in 0..times {
            let pass = circuit.admit(&LIMITS, at(seconds)).expect("let through");
            circuit.note(pass, BAD, &LIMITS, at(seconds));
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_good_try() {
        let mut circuit = Circuit::new();
        fail(&mut circuit, 2, 0);
        let pass = circuit.admit(&LIMITS, at(0)).expect("let through");
        circuit.note(pass, Heard::Answer, &LIMITS, at(0));
        fail(&mut circuit, 2, 0);
        assert_eq!(circuit.phase(), Phase::Closed { failures: 2 }, "an answer in between begins the count anew");
        fail(&mut circuit, 1, 0);
        let resting = Resting { until: at(30), saw: Saw::Status(502) };
        assert_eq!(circuit.admit(&LIMITS, at(29)), Err(resting));
        let probe = circuit.admit(&LIMITS, at(30)).expect("one may try");
        assert_eq!(circuit.admit(&LIMITS, at(31)), Err(Resting { until: at(40), ..resting }), "only one");
        circuit.note(probe, Heard::Answer, &LIMITS, at(32));
        assert_eq!(circuit.phase(), Phase::Closed { failures: 0 });
    }

    #[test]
    fn a_bad_try_opens_it_again_and_a_lost_one_lets_the_next_try() {
        let mut circuit = Circuit::new();
        fail(&mut circuit, 3, 0);
        let probe = circuit.admit(&LIMITS, at(30)).expect("one may try");
        circuit.note(probe, Heard::Failure(Saw::Trouble("no connection")), &LIMITS, at(35));
        let resting = Resting { until: at(65), saw: Saw::Trouble("no connection") };
        assert_eq!(circuit.admit(&LIMITS, at(36)), Err(resting));
        let lost = circuit.admit(&LIMITS, at(65)).expect("one may try");
        circuit.note(lost, Heard::Nothing, &LIMITS, at(66));
        let slow = circuit.admit(&LIMITS, at(66)).expect("the next may try at once");
        let quick = circuit.admit(&LIMITS, at(76)).expect("one that takes too long is not waited for");
        circuit.note(slow, BAD, &LIMITS, at(77));
        circuit.note(quick, Heard::Answer, &LIMITS, at(78));
        assert_eq!(circuit.phase(), Phase::Closed { failures: 0 }, "the slow one does not count any more");
    }

    #[test]
    fn what_a_call_of_an_earlier_phase_heard_changes_nothing() {
        let mut circuit = Circuit::new();
        let early = circuit.admit(&LIMITS, at(0)).expect("let through");
        fail(&mut circuit, 3, 0);
        circuit.note(early, Heard::Answer, &LIMITS, at(1));
        assert!(matches!(circuit.phase(), Phase::Open { .. }));
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let limits = Limits { failures: 0, ..LIMITS };
        let mut circuit = Circuit::new();
        for _ in 0..100 {
            let pass = circuit.admit(&limits, at(0)).expect("let through");
            circuit.note(pass, BAD, &limits, at(0));
        }
    }

    proptest! {
        /// Whatever happens, and wherever the clock goes: a rest is never longer than meant, at most one call tries at a time, an
        /// answered try closes, and it never opens before so many failures in a row.
        #[test]
        fn a_circuit_keeps_its_word(steps in proptest::collection::vec((-50i64..50, 0u8..5), 1..200)) {
            let mut circuit = Circuit::new();
            let (mut now, mut passes, mut in_a_row) = (1_000, Vec::new(), 0);
            for (move_s, step) in steps {
                now += move_s;
                let before = circuit.phase();
                let heard = match step {
                    0 | 1 => {
                        match circuit.admit(&LIMITS, at(now)) {
                            Ok(pass) => {
                                let probing = !matches!(before, Phase::Closed { .. });
                                prop_assert_eq!(probing, matches!(circuit.phase(), Phase::HalfOpen { .. }));
                                passes.push(pass);
                            }
                            Err(resting) => prop_assert!(resting.until - at(now) <= LIMITS.open_for),
                        }
                        continue;
                    }
                    2 => Heard::Answer,
                    3 => BAD,
                    _ => Heard::Nothing,
                };
                let Some(pass) = passes.pop() else { continue };
                let current = pass.0 == circuit.epoch;
                circuit.note(pass, heard, &LIMITS, at(now));
                if !current {
                    prop_assert_eq!(circuit.phase(), before);
                    continue;
                }
                match (before, heard) {
                    (Phase::Closed { .. }, Heard::Answer) => in_a_row = 0,
                    (Phase::Closed { .. }, Heard::Failure(_)) => in_a_row += 1,
                    (Phase::HalfOpen { .. }, Heard::Answer) => {
                        prop_assert_eq!(circuit.phase(), Phase::Closed { failures: 0 });
                        in_a_row = 0;
                    }
                    _ => {}
                }
                if matches!(before, Phase::Closed { .. }) {
                    prop_assert_eq!(matches!(circuit.phase(), Phase::Open { .. }), in_a_row >= LIMITS.failures);
                }
            }
        }
    }
}
