//! A job: what it is in Rust, its options, and the envelope that travels.
//!
//! The envelope's wire form is JSON with short keys; what equals the default is left out, because a waiting job's
//! bytes are Redis memory. The id and the queue are not in it: the store keys by them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cancellation::Cancellation;
use crate::id::{BatchId, JobId, Kind, QueueName};
use crate::options::{Group, MAX_ATTEMPTS, Options, Priority, TIMEOUT_MS, Unique};
use crate::outcome;
use crate::queue::BatchTotals;
use crate::retry::Backoff;
use crate::teller::Teller;
use crate::trace::TraceContext;

/// The most bytes that the arguments of a job may have.
pub const MAX_ARGS_BYTES: usize = 256 * 1024;

/// A kind of job: its arguments are the fields of the type, and it knows how to run.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name on the wire, `subject.verb`. It never changes while jobs of it exist.
    const KIND: &'static str;

    /// What the handler needs beside its arguments: services, clients.
    type Context: Clone + Send + Sync + 'static;

    /// Returns how this job is to be run; it may depend on the arguments, as a unique key does.
    fn options(&self) -> Options {
        Options::default()
    }

    /// Runs one attempt.
    fn run(self, context: Self::Context, run: Run) -> impl Future<Output = outcome::Result> + Send;
}

/// What a handler knows of the attempt it is.
#[derive(Debug, Clone)]
pub struct Run {
    /// The job.
    pub id: JobId,
    /// 1 for the first attempt; hand-backs and recoveries do not count.
    pub attempt: u32,
    /// The attempt after whose failure the job is dead.
    pub max_attempts: u32,
    /// Whose job it is, if it is somebody's.
    pub tenant: Option<String>,
    /// Trace context of the enqueuer and what else it passed along.
    pub headers: BTreeMap<String, String>,
    /// The place of this attempt in the trace; also what [`TraceContext::current`] gives in the handler's own task.
    pub trace: TraceContext,
    /// How the batch went that this job closes, if it closes one.
    pub batch: Option<BatchTotals>,
    /// Takes what the attempt has to tell while it runs: progress and short lines of log.
    pub teller: Teller,
    /// Fires when the job is cancelled, its time is up, or its lease is lost.
    pub cancelled: Cancellation,
}

impl Run {
    /// Says how far the attempt is, for whoever looks at the job. Cheap: only the latest is sent, about once a second.
    pub fn progress(&self, done: u64, total: impl Into<Option<u64>>) {
        self.teller.progress(done, total);
    }

    /// Notes a line in the log of the job, which keeps the last 50 lines of at most 500 bytes. Cheap, and not for much.
    pub fn note(&self, text: impl AsRef<str>) {
        self.teller.note(text);
    }
}

/// One job as it travels: who it is, what to do, and how.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The id: the idempotency key of the push.
    pub id: JobId,
    /// What to do.
    pub kind: Kind,
    /// The arguments, as JSON text.
    pub args: Box<RawValue>,
    /// How to run it.
    pub options: Options,
    /// Not before this instant, in milliseconds since 1970 by the store's clock; `None` is now.
    pub run_at_ms: Option<i64>,
    /// Whose job it is.
    pub tenant: Option<String>,
    /// Trace context and what else travels along.
    pub headers: BTreeMap<String, String>,
    /// The batch that it is part of. Not in the payload: the store counts by it, the handler does not need it.
    pub batch: Option<BatchId>,
    /// The running member of the same batch that pushes this one: with it, a sealed batch takes it too. Not in the payload.
    pub parent: Option<JobId>,
}

/// Why an envelope cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The arguments are too large.
    #[error(
        "arguments of {kind} are {size_bytes} bytes, more than the {MAX_ARGS_BYTES} allowed: keep large data elsewhere and pass a reference"
    )]
    TooLarge {
        /// The kind.
        kind: Kind,
        /// The size of the JSON text.
        size_bytes: usize,
    },
    /// The job cannot be written as JSON.
    #[error("cannot write the arguments of {kind} as JSON")]
    Encode {
        /// The kind.
        kind: Kind,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// The payload is not an envelope.
    #[error("the payload is not a job")]
    Decode(#[from] serde_json::Error),
}

impl Envelope {
    /// Wraps a job with its own options, to run now, under a new id. It continues the current trace, if there is one.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the arguments are too large or cannot be written as JSON.
    ///
    /// # Panics
    /// If the kind of `J` does not follow the rule of [`Kind`].
    pub fn new<J: Job>(job: &J) -> Result<Self, EnvelopeError> {
        let kind = Kind::new(J::KIND).expect("the kind of a job type follows the rule");
        let args = serde_json::value::to_raw_value(job)
            .map_err(|source| EnvelopeError::Encode { kind: kind.clone(), source })?;
        Self::raw(kind, args, job.options())
    }

    /// Wraps arguments that are JSON already. It continues the current trace, if there is one.
    ///
    /// # Errors
    /// [`EnvelopeError::TooLarge`] beyond [`MAX_ARGS_BYTES`].
    pub fn raw(kind: Kind, args: Box<RawValue>, options: Options) -> Result<Self, EnvelopeError> {
        let size_bytes = args.get().len();
        if size_bytes > MAX_ARGS_BYTES {
            return Err(EnvelopeError::TooLarge { kind, size_bytes });
        }
        let mut headers = BTreeMap::new();
        if let Some(trace) = TraceContext::current() {
            trace.write_headers(&mut headers);
        }
        Ok(Self {
            id: JobId::new(),
            kind,
            args,
            options,
            run_at_ms: None,
            tenant: None,
            headers,
            batch: None,
            parent: None,
        })
    }

    /// Writes what stores keep beside the id and the queue.
    ///
    /// # Panics
    /// Never: every field has a JSON form.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.args.get().len() + 64);
        self.encode_behind(&mut payload);
        payload
    }

    /// Writes the same behind what is there.
    pub(crate) fn encode_behind(&self, there: &mut Vec<u8>) {
        let options = &self.options;
        let backoff = options.backoff;
        let wire = Wire {
            kind: Cow::Borrowed(self.kind.as_str()),
            args: &self.args,
            priority: options.priority,
            max_attempts: (options.max_attempts != MAX_ATTEMPTS).then_some(options.max_attempts),
            timeout_ms: (options.timeout_ms != TIMEOUT_MS).then_some(options.timeout_ms),
            backoff: (backoff != Backoff::default()).then_some(backoff),
            unique: options.unique.as_ref().map(Cow::Borrowed),
            group: options.group.as_ref().map(Cow::Borrowed),
            tenant: self.tenant.as_deref().map(Cow::Borrowed),
            headers: Cow::Borrowed(&self.headers),
        };
        serde_json::to_writer(there, &wire).expect("an envelope has only JSON fields");
    }

    /// Reads what [`Envelope::encode`] wrote.
    ///
    /// # Errors
    /// [`EnvelopeError::Decode`] if the bytes are anything else.
    pub fn decode(id: JobId, queue: QueueName, payload: &[u8]) -> Result<Self, EnvelopeError> {
        let Order { kind, args, options, tenant, headers } = Order::read(queue, payload)?;
        let kind = Kind::new(kind).map_err(serde::de::Error::custom).map_err(EnvelopeError::Decode)?;
        let args = args.to_owned();
        Ok(Self { id, kind, args, options, run_at_ms: None, tenant, headers, batch: None, parent: None })
    }
}

/// A payload as an attempt reads it: kind and arguments stay where they are.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// A valid one, which need not be known here.
    pub(crate) kind: Cow<'a, str>,
    pub(crate) args: &'a RawValue,
    pub(crate) options: Options,
    pub(crate) tenant: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl<'a> Order<'a> {
    pub(crate) fn read(queue: QueueName, payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire<'a> = serde_json::from_slice(payload)?;
        Kind::check(&wire.kind).map_err(serde::de::Error::custom).map_err(EnvelopeError::Decode)?;
        let defaults = Options::in_queue(queue);
        let options = Options {
            priority: wire.priority,
            max_attempts: wire.max_attempts.unwrap_or(defaults.max_attempts),
            timeout_ms: wire.timeout_ms.unwrap_or(defaults.timeout_ms),
            backoff: wire.backoff.unwrap_or(defaults.backoff),
            unique: wire.unique.map(Cow::into_owned),
            group: wire.group.map(Cow::into_owned),
            ..defaults
        };
        let (tenant, headers) = (wire.tenant.map(Cow::into_owned), wire.headers.into_owned());
        Ok(Self { kind: wire.kind, args: wire.args, options, tenant, headers })
    }
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "k", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "a", borrow)]
    args: &'a RawValue,
    #[serde(rename = "p", default, skip_serializing_if = "Priority::is_normal")]
    priority: Priority,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    backoff: Option<Backoff>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    unique: Option<Cow<'a, Unique>>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, Group>>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    tenant: Option<Cow<'a, str>>,
    #[serde(rename = "h", default, skip_serializing_if = "no_headers")]
    headers: Cow<'a, BTreeMap<String, String>>,
}

fn no_headers(headers: &BTreeMap<String, String>) -> bool {
    headers.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::GroupKey;
    use crate::options::UniqueUntil;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("valid JSON")
    }

    #[test]
    fn defaults_take_no_room_on_the_wire() {
        let kind = Kind::new("mail.send").expect("valid");
        let envelope = Envelope::raw(kind, raw(r#"{"to":1}"#), Options::default()).expect("small");
        assert_eq!(String::from_utf8_lossy(&envelope.encode()), r#"{"k":"mail.send","a":{"to":1}}"#);
    }

    #[test]
    fn oversized_arguments_are_refused_with_the_cure() {
        let kind = Kind::new("mail.send").expect("valid");
        let large = raw(&format!("\"{}\"", "x".repeat(MAX_ARGS_BYTES)));
        let error = Envelope::raw(kind, large, Options::default()).expect_err("too large");
        assert!(error.to_string().contains("pass a reference"), "{error}");
    }

    #[test]
    fn what_is_not_an_envelope_is_a_decode_error() {
        for payload in [&b"\xff\xfe"[..], b"{}", b"{\"k\":\"UPPER\",\"a\":1}", b"[1]"] {
            assert!(Envelope::decode(JobId::new(), QueueName::default(), payload).is_err());
        }
    }

    proptest! {
        #[test]
        fn envelopes_survive_the_wire(
            n in any::<i64>(), rank in 0u8..4, max_attempts in 1u32..100, timeout_ms in 1u64..1_000_000,
            key in proptest::option::of("[a-z:\"\\\\]{1,20}"), tenant in proptest::option::of(".{0,10}"),
            group in proptest::option::of("[a-z:\"]{1,20}"),
        ) {
            let options = Options {
                priority: Priority::from_rank(rank).expect("in range"), max_attempts, timeout_ms,
                unique: key.map(|key| Unique::new(key, UniqueUntil::Finished)),
                group: group.map(|key| Group::new(GroupKey::new(key).expect("valid")).concurrency(3)),
                ..Options::default()
            };
            let mut sent = Envelope::raw(Kind::new("a.b").expect("valid"), raw(&n.to_string()), options).expect("small");
            sent.tenant = tenant;
            let got = Envelope::decode(sent.id, QueueName::default(), &sent.encode()).expect("decodes");
            prop_assert_eq!(got.args.get(), sent.args.get());
            prop_assert_eq!(got.options, sent.options);
            prop_assert_eq!(got.tenant, sent.tenant);
        }
    }
}
