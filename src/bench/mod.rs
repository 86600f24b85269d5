//! `deskhand bench`: what a queue does on the user's own server, beside what the bare server does with the same bytes.
//!
//! A run stands on a stage of its own: in Redis a key prefix, for `SQLite` a file, both with a name that nobody has had before, and
//! both taken away however the run ends. It measures with the worker that `deskhand worker` runs. Each round measures everything, the
//! bare server and ours in turns, and the medians of the rounds are told.
//!
//! To add a measure: 1. its line in `measures.rs`; 2. a file that takes it; 3. its call in `round.rs`.

mod bare;
mod clock;
mod crew;
mod deep;
mod delay;
mod file;
mod flood;
mod guard;
mod job;
mod load;
mod measures;
mod pickup;
mod plan;
mod report;
mod round;
mod run;
mod server;
mod spread;
mod stage;
mod statistics;

pub use guard::{can_judge, fallen};
pub use measures::{DEEP, MEASURES, Measure, Unit};
pub use plan::{LEAST_PAYLOAD_BYTES, Plan};
pub use report::{Report, Settings};
pub use run::run;
