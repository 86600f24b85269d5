//! What a remote worker says of an attempt, and what the engine makes of it: the same verdict as of a handler of this program.

use std::time::Duration;

use deskhand_jobs::outcome::Outcome as Said;
use deskhand_jobs::queue::Verdict;
use deskhand_jobs::verdict::{Ending, Facts, size_bytes, verdict};
use deskhand_jobs::{JobId, MAX_RESULT_BYTES};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ticket::Ticket;
use crate::base::FieldError;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Finished.
    Done,
    /// Failed; the next attempt is as far away as the back-off of the job says.
    Retry,
    /// Failed; the next attempt is exactly `after_ms` away.
    RetryAfter,
    /// Not now: again in `after_ms`; burns no attempt.
    Snooze,
    /// No longer wanted: the job ends, and that is no error.
    Discard,
    /// Cannot succeed: the job is dead now.
    Fail,
    /// Not finished, because the worker stops or was asked to stop this job: another one may have it; burns no attempt. A job that
    /// somebody cancelled ends.
    HandBack,
}

/// The end of one attempt.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// The job.
    pub id: JobId,
    /// The lease from the claim.
    pub lease: String,
    /// What happens next.
    pub outcome: Outcome,
    /// What came of it, with `done`: any JSON of at most 16 KiB; a larger one is left out.
    #[serde(default)]
    pub result: Option<Value>,
    /// What went wrong, with `retry`, `retry_after`, `discard` and `fail`.
    #[serde(default)]
    pub error: Option<String>,
    /// How far away, with `retry_after` and `snooze`, in milliseconds.
    #[serde(default)]
    pub after_ms: Option<u64>,
}

impl Finished {
    /// Refuses what says less than its outcome needs, or more; `at` is the place of this end.
    pub(super) fn check(&self, at: &str) -> Result<(), FieldError> {
        let wrong = |field: &str, message: &str| {
            Err(FieldError { pointer: format!("{at}/{field}"), message: message.to_owned() })
        };
        let delays = matches!(self.outcome, Outcome::RetryAfter | Outcome::Snooze);
        let explains = matches!(self.outcome, Outcome::Retry | Outcome::RetryAfter | Outcome::Discard | Outcome::Fail);
        match self {
            Self { after_ms: None, .. } if delays => wrong("after_ms", "this outcome needs a delay in milliseconds"),
            Self { after_ms: Some(_), .. } if !delays => {
                wrong("after_ms", "only retry_after and snooze have a delay: leave it out")
            }
            Self { error: None, .. } if explains => wrong("error", "this outcome needs a sentence on what went wrong"),
            Self { error: Some(_), .. } if !explains => wrong("error", "nothing went wrong: leave it out"),
            Self { result: Some(_), .. } if self.outcome != Outcome::Done => {
                wrong("result", "only done has a result: leave it out")
            }
            _ => Ok(()),
        }
    }

    /// Returns how large the result is if it is too large to be kept.
    pub(super) fn oversized_bytes(&self) -> Option<usize> {
        self.result.as_ref().map(size_bytes).filter(|bytes| *bytes > MAX_RESULT_BYTES)
    }

    /// Decides what becomes of the job. `draw` is a random number in `[0, 1)`.
    pub(super) fn verdict(self, ticket: &Ticket, draw: f64) -> Verdict {
        let reason = self.error.unwrap_or_default();
        let delay = Duration::from_millis(self.after_ms.unwrap_or_default());
        judge(
            match self.outcome {
                Outcome::Done => Ending::Returned(Ok(self.result.map_or(Said::Done, Said::DoneWith))),
                Outcome::Retry => Ending::Returned(Err(reason.into())),
                Outcome::RetryAfter => Ending::Returned(Ok(Said::RetryAfter { delay, reason })),
                Outcome::Snooze => Ending::Returned(Ok(Said::Snooze(delay))),
                Outcome::Discard => Ending::Returned(Ok(Said::Discard(reason))),
                Outcome::Fail => Ending::Returned(Ok(Said::Fail(reason))),
                Outcome::HandBack => Ending::Stopped,
            },
            ticket,
            draw,
        )
    }
}

/// Decides what becomes of a job whose attempt ended so.
pub(super) fn judge(ending: Ending, ticket: &Ticket, draw: f64) -> Verdict {
    let (options, history) = (ticket.options(), ticket.history());
    let facts = Facts { options: &options, history: &history, claimed_at_ms: ticket.claimed_at_ms };
    verdict(ending, None, facts, draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(text: &str) -> Finished {
        let mut json: Value = serde_json::from_str(text).expect("JSON");
        json["id"] = JobId::new().to_string().into();
        json["lease"] = "x".into();
        serde_json::from_value(json).expect("fits")
    }

    #[test]
    fn an_end_says_what_its_outcome_needs_and_no_more() {
        for (text, wrong) in [
            (r#"{"outcome":"done"}"#, None),
            (r#"{"outcome":"done","result":{"n":1}}"#, None),
            (r#"{"outcome":"done","error":"x"}"#, Some("/results/3/error")),
            (r#"{"outcome":"retry","error":"x"}"#, None),
            (r#"{"outcome":"retry"}"#, Some("/results/3/error")),
            (r#"{"outcome":"retry","error":"x","after_ms":5}"#, Some("/results/3/after_ms")),
            (r#"{"outcome":"retry_after","error":"x","after_ms":5}"#, None),
            (r#"{"outcome":"retry_after","error":"x"}"#, Some("/results/3/after_ms")),
            (r#"{"outcome":"snooze","after_ms":5}"#, None),
            (r#"{"outcome":"snooze","after_ms":5,"result":1}"#, Some("/results/3/result")),
            (r#"{"outcome":"discard","error":"x"}"#, None),
            (r#"{"outcome":"fail"}"#, Some("/results/3/error")),
            (r#"{"outcome":"hand_back"}"#, None),
        ] {
            let checked = finished(text).check("/results/3").err().map(|error| error.pointer);
            assert_eq!(checked.as_deref(), wrong, "{text}");
        }
    }
}
