//! The worker over a queue in memory. The conformance suite proves that the stores keep what this double promises.

mod bench;
pub(in crate::worker) mod double;
mod faults;
mod outcomes;
mod spans;
mod telling;
