//! The dead letters as work: which ones, how fast they come back, and with which arguments. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::page::Cursor;
use super::types::DeadReason;
use crate::fingerprint::Fingerprint;
use crate::id::{JobId, Kind, QueueName};
use crate::job::{Envelope, EnvelopeError};

/// The most groups of dead jobs that a store tells of a queue: those that grew last.
pub const MAX_DEAD_GROUPS: usize = 1_000;

/// The most dead jobs that one step looks at.
pub const DEAD_STEP: usize = 500;

/// Names dead jobs of a queue; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadFilter {
    /// Their queue.
    pub queue: QueueName,
    /// What they do.
    pub kind: Option<Kind>,
    /// What they died of.
    pub fingerprint: Option<Fingerprint>,
    /// They died at this instant or later, by the store's clock.
    pub died_after_ms: Option<i64>,
    /// They died before this instant, by the store's clock.
    pub died_before_ms: Option<i64>,
}

impl DeadFilter {
    /// Names all dead jobs of a queue.
    pub fn all(queue: QueueName) -> Self {
        Self { queue, kind: None, fingerprint: None, died_after_ms: None, died_before_ms: None }
    }

    /// Says whether a dead job is meant.
    pub(crate) fn fits(&self, kind: Option<&Kind>, fingerprint: Option<&Fingerprint>, died_at_ms: i64) -> bool {
        (self.kind.is_none() || self.kind.as_ref() == kind)
            && (self.fingerprint.is_none() || self.fingerprint.as_ref() == fingerprint)
            && self.died_after_ms.is_none_or(|after_ms| died_at_ms >= after_ms)
            && self.died_before_ms.is_none_or(|before_ms| died_at_ms < before_ms)
    }
}

/// A bounded step through the dead, the oldest first.
///
/// The first step fixes the end: who dies later than it began is not met by any step after it, even if it was redriven by this very
/// walk. A walk may be left and taken up again by another process; it is all in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadStep {
    /// Which dead jobs.
    pub filter: DeadFilter,
    /// Where the step before ended.
    pub after: Option<Cursor>,
}

impl DeadStep {
    /// Begins a walk.
    pub fn first(filter: DeadFilter) -> Self {
        Self { filter, after: None }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The jobs that are no longer dead, in the order of their deaths.
    pub ids: Vec<JobId>,
    /// The step that follows; `None` at the end.
    pub next: Option<DeadStep>,
}

/// How fast dead jobs come back: what they did to whatever they call, they will do again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub(crate) jobs: u32,
    pub(crate) per_ms: u64,
    pub(crate) passed: u64,
}

impl Pace {
    /// All at once.
    pub const NOW: Self = Self { jobs: 1, per_ms: 0, passed: 0 };

    /// One after another, so many milliseconds apart; at most a day.
    pub fn every(spacing_ms: u64) -> Self {
        Self { jobs: 1, per_ms: spacing_ms.min(86_400_000), passed: 0 }
    }

    /// So many each second; at least one.
    pub fn per_second(jobs: u32) -> Self {
        Self { jobs: jobs.max(1), per_ms: 1_000, passed: 0 }
    }

    /// Goes on after so many more jobs.
    #[must_use]
    pub fn then(self, jobs: usize) -> Self {
        Self { passed: self.passed.saturating_add(jobs as u64), ..self }
    }

    /// Returns how long the n-th job from here has to wait; the first is 0.
    pub fn delay_ms(self, n: usize) -> u64 {
        // Beyond what anybody waits for, and within what every store can count.
        const LONGEST_MS: u64 = 1 << 50;
        let place = u128::from(self.passed) + n as u128;
        let delay_ms = place * u128::from(self.per_ms) / u128::from(self.jobs);
        u64::try_from(delay_ms).unwrap_or(LONGEST_MS).min(LONGEST_MS)
    }
}

/// Dead jobs of one kind that died of the same error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadGroup {
    /// Their queue.
    pub queue: QueueName,
    /// What they do; `None` if their payload does not tell.
    pub kind: Option<Kind>,
    /// What tells the error; `None` for jobs that died before it was noted.
    pub fingerprint: Option<Fingerprint>,
    /// How many there are.
    pub count: u64,
    /// When the first of them died.
    pub first_at_ms: i64,
    /// When the last of them died.
    pub last_at_ms: i64,
    /// The one that died last.
    pub example: JobId,
    /// Why that one is dead.
    pub reason: DeadReason,
    /// What that one died of.
    pub error: String,
}

/// The answer to a change of a dead job's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amended {
    /// When it is redriven, it runs with the new arguments.
    Done,
    /// There is no such dead job.
    NotDead,
    /// Somebody else changed it in between: look again.
    Changed,
    /// It cannot be; the text names the cause and the cure.
    Refused(String),
}

/// Reads the kind out of a payload without decoding the rest, which may be what the job died of.
pub(crate) fn kind_in(payload: &[u8]) -> Option<Kind> {
    let rest = payload.strip_prefix(br#"{"k":""#)?;
    let end = rest.iter().take(65).position(|byte| *byte == b'"')?;
    Kind::new(std::str::from_utf8(&rest[..end]).ok()?).ok()
}

/// Returns a payload with other arguments and everything else as it was, or why that cannot be.
pub(crate) fn amended(id: JobId, queue: QueueName, payload: &[u8], args: &RawValue) -> Result<Vec<u8>, String> {
    let job = Envelope::decode(id, queue, payload).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|source| format!(" ({source})")).unwrap_or_default();
        format!("{error}{cause}, so nothing of it can be kept: discard job {id} and enqueue a new one")
    })?;
    let new =
        Envelope::raw(job.kind, args.to_owned(), job.options).map_err(|error: EnvelopeError| error.to_string())?;
    Ok(Envelope { tenant: job.tenant, headers: job.headers, ..new }.encode())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::job::MAX_ARGS_BYTES;
    use crate::options::{Options, Priority};

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("valid JSON")
    }

    #[test]
    fn the_kind_is_read_from_a_payload_however_it_goes_on() {
        for (payload, kind) in [
            (&br#"{"k":"mail.send","a":{}}"#[..], Some("mail.send")),
            (br#"{"k":"mail.send","a":{{{"#, Some("mail.send")),
            (br#"{"k":"UPPER.case","a":1}"#, None),
            (br#"{"k":"nodot","a":1}"#, None),
            (br#"{"k":"mail.send"#, None),
            (br#" {"k":"mail.send"}"#, None),
            (b"\xff\xfe", None),
            (b"", None),
        ] {
            assert_eq!(kind_in(payload).as_ref().map(Kind::as_str), kind, "{payload:?}");
        }
    }

    #[test]
    fn new_arguments_leave_the_rest_as_it_was() {
        let options = Options { priority: Priority::High, max_attempts: 3, ..Options::default() };
        let mut job = Envelope::raw(Kind::new("mail.send").expect("valid"), raw("{}"), options).expect("small");
        job.tenant = Some("acme".to_owned());
        job.headers.insert("traceparent".to_owned(), "00".to_owned());
        let new = amended(job.id, QueueName::default(), &job.encode(), &raw(r#"{"to":2}"#)).expect("fits");
        job.args = raw(r#"{"to":2}"#);
        assert_eq!(String::from_utf8_lossy(&new), String::from_utf8_lossy(&job.encode()));

        let large = raw(&format!("\"{}\"", "x".repeat(MAX_ARGS_BYTES)));
        let refusal = amended(job.id, QueueName::default(), &new, &large).expect_err("too large");
        assert!(refusal.contains("pass a reference"), "{refusal}");
        let refusal = amended(job.id, QueueName::default(), b"\xff", &raw("{}")).expect_err("unreadable");
        assert!(refusal.contains("discard job"), "{refusal}");
    }

    proptest! {
        #[test]
        fn a_pace_goes_on_where_it_was_left(jobs in 1u32..2_000, split in 0usize..5_000, n in 0usize..5_000) {
            for pace in [Pace::per_second(jobs), Pace::every(u64::from(jobs)), Pace::NOW] {
                prop_assert_eq!(pace.then(split).delay_ms(n), pace.delay_ms(split + n));
                prop_assert!(pace.delay_ms(n) <= pace.delay_ms(n + 1));
            }
            // Never more than so many in any second.
            let pace = Pace::per_second(jobs);
            prop_assert!(pace.delay_ms(n + jobs as usize) >= pace.delay_ms(n) + 999);
        }
    }

    #[test]
    fn no_pace_is_beyond_counting() {
        assert_eq!(Pace::every(u64::MAX).delay_ms(2), 2 * 86_400_000);
        assert_eq!(Pace::every(u64::MAX).then(usize::MAX).delay_ms(usize::MAX), 1 << 50);
        assert_eq!(Pace::per_second(0).delay_ms(3), 3_000);
    }
}
