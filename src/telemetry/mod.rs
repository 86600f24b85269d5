//! What the process tells of itself while it works: lines of log, and spans for a collector.
//!
//! A span that declares `trace_id` stands for a piece of work: a request, the attempt of a job, a call of another system. It is
//! of level error, so that it is there whatever the filter of the log is. Its fields go into every line within it, and, if the
//! settings name a collector, it goes out as it is: the ids are those of our own
//! [`TraceContext`](deskhand_jobs::TraceContext), so a line, a header and a collector name the same thing by the same id.
//!
//! To make a new piece of work visible: 1. a child of the current context; 2. a span with `otel.kind`, `trace_id`, `span_id`,
//! `parent_span_id` and `otel.sampled`; 3. the context around the work ([`TraceContext::scope`](deskhand_jobs::TraceContext::scope));
//! 4. `otel.ended` last, if something may go on within the span when the work is done, as a connection that was opened in it does.

mod export;
mod fields;
mod lines;
mod panics;
mod sinks;
mod start;

pub use export::describe;
pub use lines::Format;
pub use start::{Collector, Settings, Telemetry, start};
