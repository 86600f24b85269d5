//! The trace of a request: the caller's, if it sends one, else a new one. Jobs that the request enqueues belong to it.

use axum::http::HeaderMap;
use deskhand_jobs::trace::{SpanId, TRACEPARENT, TRACESTATE, TraceContext};

/// Returns the place of a request in the trace that its headers name, or in a new one, and the caller's place if there is one.
pub(super) fn of_request(headers: &HeaderMap) -> (TraceContext, Option<SpanId>) {
    match from_caller(headers) {
        Some(caller) => (caller.child(), Some(caller.span_id())),
        None => (TraceContext::root(), None),
    }
}

fn from_caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    // Of two, nobody knows which is right.
    let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
    let states: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|state| state.to_str().ok()).collect();
    let state = states.filter(|states| !states.is_empty()).map(|states| states.join(","));
    TraceContext::parse(parent.to_str().ok()?, state.as_deref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn the_trace_of_the_caller_goes_on() {
        let (trace, caller) = of_request(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]));
        assert_eq!(trace.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(trace.span_id().to_string(), "b7ad6b7169203331");
        assert_eq!(caller.expect("a caller").to_string(), "b7ad6b7169203331");
        assert_eq!(trace.tracestate(), Some("a=1,b=2"));
    }

    #[test]
    fn without_one_that_can_be_read_a_trace_begins() {
        for given in [&[][..], &[(TRACEPARENT, "nonsense")], &[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]] {
            let (trace, caller) = of_request(&headers(given));
            assert_eq!(caller, None, "{given:?}");
            assert_ne!(trace.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c", "{given:?}");
        }
    }
}
