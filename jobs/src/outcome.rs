//! What a handler says happens next.

use std::time::Duration;

/// The error of a handler: anything that can be shown with its causes.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The most bytes that the result of a job may have, as JSON text.
pub const MAX_RESULT_BYTES: usize = 16 * 1024;

/// What a handler returns: an [`Outcome`], or an error, which means "retry by the job's policy".
pub type Result = std::result::Result<Outcome, BoxError>;

/// The end of one attempt. An `Err` from the handler is one more: retry by policy, counted as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Finished: the job has succeeded.
    Done,
    /// Finished, and this came of it: for people and for whoever reads the job, not for large data.
    ///
    /// A result of more than [`MAX_RESULT_BYTES`] as JSON text is not kept. The job has done its work, so it has succeeded all the
    /// same, and the last line of its log says how large the result was: keep large data elsewhere and return a reference.
    DoneWith(serde_json::Value),
    /// Failed, and the next attempt is exactly so far away; counted as a failure.
    RetryAfter {
        /// The exact delay.
        delay: Duration,
        /// Why, for whoever reads the job.
        reason: String,
    },
    /// Not now: run again after the delay; burns no attempt.
    Snooze(Duration),
    /// No longer wanted: the job ends, and that is no error.
    Discard(String),
    /// Cannot succeed: the job is dead now, whatever attempts are left.
    Fail(String),
}

impl Outcome {
    /// Makes a [`Outcome::DoneWith`] of anything that can be written as JSON.
    ///
    /// # Errors
    /// If it cannot; returned from a handler, that is a failed attempt.
    pub fn done_with<T: serde::Serialize + ?Sized>(result: &T) -> std::result::Result<Self, BoxError> {
        Ok(Self::DoneWith(serde_json::to_value(result)?))
    }
}

/// Shows an error with all its causes in one line, each cause once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
