//! What is counted.
//!
//! | figure | labels | what it says |
//! |---|---|---|
//! | `deskhand_outbound_requests_total` | `host`, `outcome` | calls; the outcome is `2xx` … `5xx`, or why there was no answer |
//! | `deskhand_outbound_request_seconds` | `host` | how long calls took that reached the host, the answer included |
//! | `deskhand_outbound_circuit_state` | `host` | 0 closed, 1 half-open (one call tries), 2 open (left alone) |
//!
//! The first `MOST_HOSTS` hosts that administrators set up have a label of their own; all others, and those that users type, are
//! `other`: nobody can fill the memory of who keeps the figures by typing addresses.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::circuit::Phase;
use super::policy::Trust;

const REQUESTS: &str = "deskhand_outbound_requests_total";
const SECONDS: &str = "deskhand_outbound_request_seconds";
const CIRCUIT: &str = "deskhand_outbound_circuit_state";

/// So many hosts have a label of their own.
const MOST_HOSTS: usize = 100;

const OTHER: &str = "other";

/// Describes the figures to the recorder.
pub fn describe() {
    metrics::describe_counter!(REQUESTS, "Calls of other systems, by host and outcome");
    metrics::describe_histogram!(SECONDS, metrics::Unit::Seconds, "Calls that reached another system, by host");
    metrics::describe_gauge!(CIRCUIT, "0 if a host is called, 1 while one call tries it, 2 while it is left alone");
}

/// The hosts that have a label of their own.
#[derive(Debug, Default)]
pub(super) struct Labels(Mutex<HashSet<String>>);

impl Labels {
    /// Returns the label of a host.
    pub(super) fn of(&self, trust: Trust, host: &str) -> String {
        if trust == Trust::User {
            return OTHER.to_owned();
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(host) || (known.len() < MOST_HOSTS && known.insert(host.to_owned())) {
            host.to_owned()
        } else {
            OTHER.to_owned()
        }
    }
}

pub(super) fn count(label: &str, outcome: &'static str) {
    metrics::counter!(REQUESTS, "host" => label.to_owned(), "outcome" => outcome).increment(1);
}

pub(super) fn time(label: &str, took: Duration) {
    metrics::histogram!(SECONDS, "host" => label.to_owned()).record(took.as_secs_f64());
}

pub(super) fn circuit(label: &str, phase: Phase) {
    // Many hosts under one label have no state in common.
    if label == OTHER {
        return;
    }
    let state = match phase {
        Phase::Closed { .. } => 0.0,
        Phase::HalfOpen { .. } => 1.0,
        Phase::Open { .. } => 2.0,
    };
    metrics::gauge!(CIRCUIT, "host" => label.to_owned()).set(state);
}

/// Returns the outcome of an answer.
pub(super) fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_users_have_none() {
        let labels = Labels::default();
        assert_eq!(labels.of(Trust::User, "typed.example"), OTHER);
        for number in 0..MOST_HOSTS {
            assert_eq!(labels.of(Trust::Admin, &format!("h{number}")), format!("h{number}"));
        }
        assert_eq!(labels.of(Trust::Admin, "one-too-many"), OTHER);
        assert_eq!(labels.of(Trust::Admin, "h7"), "h7", "who has a label keeps it");
    }
}
