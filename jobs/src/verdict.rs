//! What becomes of a job after an attempt: a pure decision.
//!
//! [`worker`](crate::worker) asks it for its handlers. A door that lets programs in other languages work asks it for them, so that
//! retries, deaths and delays are the same wherever a job runs.

use crate::id::Kind;
use crate::options::Options;
use crate::outcome::{self, MAX_RESULT_BYTES, Outcome};
use crate::queue::{DeadReason, History, Verdict};

/// How far away a job is set aside whose kind this worker does not know: during a rolling deploy another worker may.
const ASIDE_MS: u64 = 30_000;

/// For how long a job of an unknown kind is offered again; no deploy takes a day.
const ASIDE_LIMIT_MS: i64 = 24 * 3_600_000;

/// The most bytes that an error or a reason keeps.
const MAX_TEXT_BYTES: usize = 2_000;

/// How an attempt ended.
#[derive(Debug)]
pub enum Ending {
    /// The handler returned.
    Returned(outcome::Result),
    /// The handler panicked, with this message.
    Panicked(String),
    /// The time of the attempt was up; the handler is gone.
    TimedOut,
    /// The handler was asked to stop and did not in time; it is gone, or it was never started.
    Stopped,
    /// The payload or the arguments cannot be read.
    Undecodable(String),
    /// No handler here.
    Unknown(Kind),
    /// The kind is no more, for this reason.
    Retired(String),
}

/// Why a handler was asked to stop before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody cancelled the job.
    Asked,
    /// The worker stops and the grace is over.
    Stopping,
    /// The lease is lost; whatever is decided, the store will not hear it.
    Lost,
}

/// What a job brings along that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// How the job is to be run.
    pub options: &'a Options,
    /// What happened to it before this attempt.
    pub history: &'a History,
    /// When it was claimed, by the store's clock.
    pub claimed_at_ms: i64,
}

/// Decides. `draw` is a random number in `[0, 1)` for the jitter of the back-off.
pub fn verdict(ending: Ending, interrupted: Option<Cause>, facts: Facts<'_>, draw: f64) -> Verdict {
    match (ending, interrupted) {
        (Ending::Returned(Ok(Outcome::Done)), _) => Verdict::Succeeded,
        // One that is too large was told in the log of the attempt.
        (Ending::Returned(Ok(Outcome::DoneWith(result))), _) => match size_bytes(&result) {
            ..=MAX_RESULT_BYTES => Verdict::SucceededWith { result },
            _ => Verdict::Succeeded,
        },
        (Ending::Returned(Ok(Outcome::Discard(reason))) | Ending::Retired(reason), _) => {
            Verdict::Cancelled { reason: capped(reason) }
        }
        (Ending::Returned(Ok(Outcome::Fail(reason))), _) => dead(DeadReason::Failed, reason),
        (Ending::Undecodable(error), _) => dead(DeadReason::Decode, error),
        (Ending::Unknown(kind), _) => unknown(&kind, facts),
        // Below, an interrupted handler has not finished: what it returned, if anything, follows from the interruption.
        (_, Some(Cause::Asked)) => Verdict::Cancelled { reason: "cancelled while it ran".to_owned() },
        (_, Some(Cause::Stopping | Cause::Lost)) | (Ending::Stopped, None) => Verdict::HandBack,
        (Ending::Returned(Ok(Outcome::Snooze(delay))), None) => {
            Verdict::Snooze { delay_ms: delay.as_millis().try_into().unwrap_or(u64::MAX) }
        }
        (Ending::Returned(Ok(Outcome::RetryAfter { delay, reason })), None) => {
            failed(reason, facts, |_| delay.as_millis().try_into().unwrap_or(u64::MAX))
        }
        (Ending::Returned(Err(error)), None) => failed(outcome::chain(&*error), facts, backoff(facts, draw)),
        (Ending::Panicked(message), None) => failed(format!("panicked: {message}"), facts, backoff(facts, draw)),
        (Ending::TimedOut, None) => {
            failed(format!("timed out after {} ms", facts.options.timeout_ms), facts, backoff(facts, draw))
        }
    }
}

fn backoff(facts: Facts<'_>, draw: f64) -> impl FnOnce(u32) -> u64 + '_ {
    move |failures| facts.options.backoff.delay_ms(failures, draw)
}

fn failed(error: String, facts: Facts<'_>, delay_ms: impl FnOnce(u32) -> u64) -> Verdict {
    let failures = facts.history.failures.saturating_add(1);
    if failures >= facts.options.max_attempts {
        return dead(DeadReason::Exhausted, error);
    }
    Verdict::Retry { delay_ms: delay_ms(failures), error: capped(error) }
}

fn unknown(kind: &Kind, facts: Facts<'_>) -> Verdict {
    let aside_ms = facts.history.aside_since_ms.map_or(0, |since| facts.claimed_at_ms.saturating_sub(since));
    if aside_ms < ASIDE_LIMIT_MS {
        return Verdict::SetAside { delay_ms: ASIDE_MS };
    }
    let error = format!("no worker has known jobs of kind {kind} for a day: deploy its handler or discard the job");
    dead(DeadReason::UnknownKind, error)
}

fn dead(reason: DeadReason, error: String) -> Verdict {
    Verdict::Dead { reason, error: capped(error) }
}

/// Returns how large a result is, as JSON text.
pub fn size_bytes(result: &serde_json::Value) -> usize {
    result.to_string().len()
}

fn capped(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::retry::Backoff;

    const DAY: i64 = ASIDE_LIMIT_MS;

    fn decide(ending: Ending, interrupted: Option<Cause>, failures: u32, aside_since_ms: Option<i64>) -> Verdict {
        let options = Options { max_attempts: 3, timeout_ms: 70, backoff: Backoff::exactly(500), ..Options::default() };
        let history = History { failures, aside_since_ms, ..History::default() };
        verdict(ending, interrupted, Facts { options: &options, history: &history, claimed_at_ms: DAY }, 0.5)
    }

    fn error() -> Ending {
        Ending::Returned(Err("boom".into()))
    }

    fn returned(outcome: Outcome) -> Ending {
        Ending::Returned(Ok(outcome))
    }

    fn retry(delay_ms: u64, error: &str) -> Verdict {
        Verdict::Retry { delay_ms, error: error.to_owned() }
    }

    fn after(seconds: u64) -> Ending {
        returned(Outcome::RetryAfter { delay: Duration::from_secs(seconds), reason: "429".to_owned() })
    }

    #[test]
    fn each_ending_has_its_verdict() {
        let kind = Kind::new("a.b").expect("valid");
        for (ending, failures, expected) in [
            (returned(Outcome::Done), 2, Verdict::Succeeded),
            (returned(Outcome::DoneWith(7.into())), 2, Verdict::SucceededWith { result: 7.into() }),
            (error(), 0, retry(500, "boom")),
            (error(), 1, retry(500, "boom")),
            (error(), 2, dead(DeadReason::Exhausted, "boom".to_owned())),
            (error(), 9, dead(DeadReason::Exhausted, "boom".to_owned())),
            (after(7), 0, retry(7_000, "429")),
            (after(7), 2, dead(DeadReason::Exhausted, "429".to_owned())),
            (returned(Outcome::Snooze(Duration::from_millis(9))), 2, Verdict::Snooze { delay_ms: 9 }),
            (returned(Outcome::Discard("old".to_owned())), 0, Verdict::Cancelled { reason: "old".to_owned() }),
            (returned(Outcome::Fail("bad".to_owned())), 0, dead(DeadReason::Failed, "bad".to_owned())),
            (Ending::Panicked("oh".to_owned()), 0, retry(500, "panicked: oh")),
            (Ending::TimedOut, 0, retry(500, "timed out after 70 ms")),
            (Ending::TimedOut, 2, dead(DeadReason::Exhausted, "timed out after 70 ms".to_owned())),
            (Ending::Undecodable("eof".to_owned()), 0, dead(DeadReason::Decode, "eof".to_owned())),
            (Ending::Unknown(kind), 0, Verdict::SetAside { delay_ms: ASIDE_MS }),
            (Ending::Retired("gone".to_owned()), 0, Verdict::Cancelled { reason: "gone".to_owned() }),
            (Ending::Stopped, 0, Verdict::HandBack),
        ] {
            let shown = format!("{ending:?} after {failures} failures");
            assert_eq!(decide(ending, None, failures, None), expected, "{shown}");
        }
    }

    #[test]
    fn a_result_that_is_too_large_is_left_out_of_a_success() {
        // Two bytes are the quotes.
        let fits = serde_json::Value::from("x".repeat(MAX_RESULT_BYTES - 2));
        let too_large = serde_json::Value::from("x".repeat(MAX_RESULT_BYTES - 1));
        let verdict = decide(returned(Outcome::DoneWith(fits.clone())), None, 0, None);
        assert_eq!(verdict, Verdict::SucceededWith { result: fits });
        assert_eq!(decide(returned(Outcome::DoneWith(too_large)), None, 0, None), Verdict::Succeeded);
    }

    #[test]
    fn what_an_interrupted_handler_did_not_finish_burns_no_attempt() {
        let cancelled = Verdict::Cancelled { reason: "cancelled while it ran".to_owned() };
        for (cause, expected) in
            [(Cause::Asked, cancelled), (Cause::Stopping, Verdict::HandBack), (Cause::Lost, Verdict::HandBack)]
        {
            for ending in [error(), after(1), Ending::Stopped, Ending::TimedOut, Ending::Panicked(String::new())] {
                assert_eq!(decide(ending, Some(cause), 2, None), expected, "{cause:?}");
            }
            assert_eq!(decide(returned(Outcome::Done), Some(cause), 2, None), Verdict::Succeeded, "{cause:?}");
        }
    }

    #[test]
    fn an_unknown_kind_is_dead_after_a_day_and_the_error_names_it() {
        let unknown = || Ending::Unknown(Kind::new("mail.sent").expect("valid"));
        assert_eq!(decide(unknown(), None, 0, Some(1)), Verdict::SetAside { delay_ms: ASIDE_MS });
        let Verdict::Dead { reason: DeadReason::UnknownKind, error } = decide(unknown(), None, 0, Some(0)) else {
            panic!("not dead after a day");
        };
        assert!(error.contains("mail.sent"), "{error}");
    }

    proptest! {
        #[test]
        fn a_text_is_capped_at_a_character(text in "[aé漢🦀]{0,2500}") {
            let short = capped(text.clone());
            prop_assert!(short.len() <= MAX_TEXT_BYTES);
            prop_assert!(text.len() > MAX_TEXT_BYTES || short == text);
        }

        #[test]
        fn failures_end_at_the_limit_and_never_before(failures in 0u32..20, draw in 0.0f64..1.0) {
            let options = Options::default();
            let history = History { failures, ..History::default() };
            let facts = Facts { options: &options, history: &history, claimed_at_ms: 0 };
            let exhausted = matches!(verdict(error(), None, facts, draw), Verdict::Dead { .. });
            prop_assert_eq!(exhausted, failures + 1 >= options.max_attempts);
        }
    }
}
