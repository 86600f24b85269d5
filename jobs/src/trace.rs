//! Where a piece of work belongs: the trace context of W3C, from whoever enqueues a job to its handler and on.
//!
//! A context travels in the headers of a job under the names that HTTP uses, `traceparent` and `tracestate`. While a handler runs,
//! the context of its attempt is the current one of its task, and every [`Envelope`](crate::Envelope) that is made then takes it
//! along; so do jobs that are made inside [`TraceContext::scope`]. A task that is spawned has no current context until it is given
//! one. The logs of an attempt carry `trace_id`, `span_id` and `parent_span_id`.
//!
//! ```
//! use deskhand_jobs::TraceContext;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let from_request = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None)?;
//! let job = from_request.child().scope(async { /* Envelope::new(&job) */ TraceContext::current() }).await;
//! assert_eq!(job.expect("in scope").trace_id(), from_request.trace_id());
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the header with the ids.
pub const TRACEPARENT: &str = "traceparent";

/// The name of the header that tracing systems use as they like.
pub const TRACESTATE: &str = "tracestate";

/// The recommendation asks to pass on at least so many bytes; more is left out.
const MAX_STATE_BYTES: usize = 512;

const SAMPLED: u8 = 1;

/// Of the traces that begin in this process those are recorded whose ids, taken as numbers, are not above this.
static RECORDED_UP_TO: AtomicU64 = AtomicU64::new(u64::MAX);

/// Has this part of the traces that begin in this process recorded, from 0 for none to 1 for all, as it is at the start. Whoever
/// goes on with a trace is told, and keeps to what its beginner chose.
pub fn record_part(ratio: f64) {
    RECORDED_UP_TO.store(up_to(ratio), Ordering::Relaxed);
}

fn up_to(ratio: f64) -> u64 {
    // From a float, what is out of range becomes the nearest that is in it.
    (ratio * u64::MAX as f64) as u64
}

/// Chooses by the low half of the id, as other tracers do: who records the same part records the same traces.
fn is_recorded(id: NonZeroU128, up_to: u64) -> bool {
    up_to != 0 && id.get() as u64 <= up_to
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Names a whole trace: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(digits(&mut [0; 32], self.0.get()))
    }
}

/// Names one piece of work in a trace: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(digits(&mut [0; 16], u128::from(self.0.get())))
    }
}

/// Writes a number as hexadecimal digits that fill a text: what every attempt does for the ids in its log lines.
fn digits(text: &mut [u8], mut number: u128) -> &str {
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
    std::str::from_utf8(text).expect("hexadecimal digits are text")
}

/// A `traceparent` that does not follow the recommendation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "traceparent is not valid: it is version, trace, span and flags, as in 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)]
pub struct Malformed;

/// The place of a piece of work in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Begins a new trace.
    pub fn root() -> Self {
        let id: NonZeroU128 = rand::random();
        let sampled = is_recorded(id, RECORDED_UP_TO.load(Ordering::Relaxed));
        Self { trace_id: TraceId(id), span_id: SpanId(rand::random()), sampled, state: None }
    }

    /// Reads the values of the two headers. A `tracestate` that is too long or holds strange characters is left out.
    ///
    /// # Errors
    /// [`Malformed`] if `traceparent` does not follow the recommendation.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, Malformed> {
        let mut parts = traceparent.split('-');
        let mut digits = |count: usize| {
            let part = parts.next().filter(|part| part.len() == count).ok_or(Malformed)?;
            let lower_hex = part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if lower_hex { Ok(part) } else { Err(Malformed) }
        };
        let (version, trace, span, flags) = (digits(2)?, digits(32)?, digits(16)?, digits(2)?);
        // A later version may append to these fields; this one may not, and ff is none.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(Malformed);
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().and_then(NonZeroU128::new).ok_or(Malformed)?;
        let span_id = u64::from_str_radix(span, 16).ok().and_then(NonZeroU64::new).ok_or(Malformed)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| Malformed)?;
        let plain = |state: &&str| {
            (1..=MAX_STATE_BYTES).contains(&state.len()) && state.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        };
        Ok(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags & SAMPLED != 0,
            state: tracestate.map(|state| state.trim_matches(' ')).filter(plain).map(Arc::from),
        })
    }

    /// Reads the headers of a job; `None` if there is no context in them, or none that can be read.
    pub fn from_headers(headers: &BTreeMap<String, String>) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?, headers.get(TRACESTATE).map(String::as_str)).ok()
    }

    /// Writes itself into the headers of a job.
    pub fn write_headers(&self, headers: &mut BTreeMap<String, String>) {
        headers.insert(TRACEPARENT.to_owned(), self.traceparent());
        match &self.state {
            Some(state) => drop(headers.insert(TRACESTATE.to_owned(), state.to_string())),
            None => drop(headers.remove(TRACESTATE)),
        }
    }

    /// Returns another piece of work in the same trace, caused by this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: SpanId(rand::random()), ..self.clone() }
    }

    /// Returns the trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Returns the piece of work.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// Says whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Returns the value of the header [`TRACEPARENT`].
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }

    /// Returns the value of the header [`TRACESTATE`], if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Returns the current context of this task.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Makes this the current context while the future runs.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_the_recommendation_allows_is_read() {
        for (text, sampled) in [
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-01"), true),
            // Flags that this version does not know are not passed on.
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("01-{TRACE}-{SPAN}-03"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), true),
        ] {
            let context = TraceContext::parse(&text, None).expect(&text);
            assert_eq!(context.traceparent(), format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled)), "{text}");
        }
    }

    #[test]
    fn what_it_forbids_is_refused() {
        for text in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-ü{}-01", &SPAN[2..]),
        ] {
            assert_eq!(TraceContext::parse(&text, None), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_state_is_passed_along_if_it_is_plain() {
        let state = |given: &str| {
            let context = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01"), Some(given)).expect("valid");
            context.child().tracestate().map(str::to_owned)
        };
        assert_eq!(state(" a=1,b=2 ").as_deref(), Some("a=1,b=2"));
        for strange in ["", "a=\n", "a=ü", &"x".repeat(513)] {
            assert_eq!(state(strange), None, "{strange:?}");
        }
    }

    #[tokio::test]
    async fn a_context_is_current_in_its_scope_only() {
        assert_eq!(TraceContext::current(), None);
        let outer = TraceContext::root();
        let inner = outer.child();
        assert_eq!((inner.trace_id(), inner.span_id() == outer.span_id()), (outer.trace_id(), false));
        let seen = outer.clone().scope(async {
            let within = inner.clone().scope(async { TraceContext::current() }).await;
            (within, TraceContext::current(), tokio::spawn(async { TraceContext::current() }).await.expect("runs"))
        });
        assert_eq!(seen.await, (Some(inner.clone()), Some(outer), None));
    }

    #[test]
    fn a_part_of_the_traces_is_recorded_and_who_goes_on_keeps_to_it() {
        let recorded = |ratio| (0..400).filter(|_| is_recorded(rand::random(), up_to(ratio))).count();
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 400));
        assert!((50..350).contains(&recorded(0.5)));
        let not = TraceContext { sampled: false, ..TraceContext::root() };
        assert!(!not.child().is_sampled() && not.child().traceparent().ends_with("-00"));
    }

    proptest! {
        #[test]
        fn a_context_survives_the_headers_and_noise_breaks_nothing(state in proptest::option::of("[a-z]{1,9}=[!-~]{1,20}"), noise in "\\PC{0,60}") {
            let text = TraceContext::root().traceparent();
            let context = TraceContext::parse(&text, state.as_deref()).expect("its own form");
            let mut headers = BTreeMap::from([(TRACESTATE.to_owned(), "stale=1".to_owned())]);
            context.write_headers(&mut headers);
            prop_assert_eq!(TraceContext::from_headers(&headers), Some(context));
            headers.insert(TRACEPARENT.to_owned(), noise);
            prop_assert_eq!(TraceContext::from_headers(&headers), None);
        }
    }
}
