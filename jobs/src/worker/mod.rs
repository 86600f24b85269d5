//! Runs what a queue holds.
//!
//! ```text
//!   store ◀──▶ engine ──inbox──▶ shell (apalis) ──▶ attempt ──▶ handler
//!     ▲          ▲                                     │
//!     │ beats    └───────────── report ◀── verdict ◀───┘
//!   lives
//! ```
//!
//! - `engine` claims as many jobs as there are free places, and more if they are short, settles what has ended in batches, and stops in good order;
//!   `feeding`, `settling`, `telling` and `lives` are its conversations with the store. `turns`, which is pure, decides which queue of
//!   a [`QueueSet`] is asked first; `ahead`, how many jobs are fetched beyond those that may run.
//! - `shell` is the only file that knows apalis. `attempt` turns everything that a handler can do into an ending, and
//!   [`verdict`](crate::verdict), which is pure, turns the ending into what becomes of the job. Each delivery reports exactly once (`delivery`).
//! - `life` beats. A worker that could not beat for a lease stops its handlers by itself and registers as a new one.
//!
//! What is promised:
//!
//! - Nothing that a handler or a payload does ends the worker. Nothing that the store does ends it either: it waits for the
//!   store, and keeps what has ended until the store has taken it.
//! - A stopping worker finishes or hands back, and a hand-back burns no attempt.
//! - Beats are timed on a thread of their own. The calls share the runtime that drives the store's connections: handlers that
//!   block all its threads for a whole lease cost the worker its jobs. [`Worker::on_runtime`] excludes that.
//! - A handler that blocks its thread cannot be stopped by anybody. Its job is counted as abandoned when the worker stops, and
//!   whatever it says later is not heard.

mod ahead;
mod attempt;
mod config;
mod delivery;
mod desired;
mod engine;
mod feeding;
mod figures;
mod health;
mod life;
mod listening;
mod lives;
mod once;
mod outage;
mod queue_leases;
mod queue_set;
mod run;
mod settling;
mod shell;
mod telling;
#[cfg(test)]
mod tests;
mod turns;

pub use config::{Config, Summary};
pub use desired::{Demand, desired_workers};
pub use figures::{Figures, describe as describe_figures};
pub use health::HealthHandle;
pub(crate) use once::once;
pub use queue_set::{MAX_WEIGHT, Nonsense, QueueSet};
pub use run::Worker;
