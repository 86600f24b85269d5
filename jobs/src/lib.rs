//! A durable job queue: leases, retries, dead letters and schedules, over Redis or one SQLite file.
//!
//! A [`Job`] is a type with arguments and a handler. A [`Registry`] knows all kinds. A [`Queue`](queue::Queue) is a store of
//! jobs, with two implementations that behave the same. A [`worker`] runs what a queue holds.

mod cancellation;
pub mod cron;
pub mod fingerprint;
mod id;
mod job;
mod options;
pub mod outcome;
pub mod queue;
mod registry;
pub mod retry;
mod teller;
pub mod testing;
pub mod trace;
pub mod verdict;
pub mod worker;

pub use cancellation::Cancellation;
pub use id::{BatchId, GroupKey, Invalid, JobId, Kind, QueueName, WorkerId};
pub use job::{Envelope, EnvelopeError, Job, MAX_ARGS_BYTES, Run};
pub use options::{Group, Limits, MAX_PERIOD_MS, MAX_STARTS, OnConflict, Options, Priority, Rate, Unique, UniqueUntil};
pub use outcome::{MAX_RESULT_BYTES, Outcome};
pub use registry::{Double, Registry, Rejected};
pub use teller::Teller;
pub use trace::TraceContext;
