//! Spans for a collector, by OTLP over HTTP.
//!
//! Nothing here holds up the work: spans wait in a bounded queue, and what a collector that is away does not take is dropped and
//! counted.

mod batch;
mod client;
mod layer;
mod span;

pub(super) use batch::Batches;
pub use batch::describe;
pub(super) use client::Client;
pub(super) use layer::Export;
