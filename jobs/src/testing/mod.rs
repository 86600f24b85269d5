//! What tests of jobs need: a queue in memory with a clock that a test can move on, and hands that run what is due.
//!
//! [`MemoryQueue`] is a store like the others and passes the same conformance suite; it forgets everything when it is dropped.
//!
//! - [`assert_enqueued`] and [`refute_enqueued`] prove what waits, and say what does if they fail; [`enqueued`] returns it.
//! - [`drain`] runs what is due, and what that enqueues, in the test's own task; [`run_due`] does one round.
//! - Time is virtual: [`MemoryQueue::pass`] lets hours go by at once. Schedules and delays are reckoned from
//!   [`MemoryQueue::now_ms`].
//!
//! ```
//! use std::time::Duration;
//!
//! use deskhand_jobs::queue::{Queue, State};
//! use deskhand_jobs::testing::{MemoryQueue, assert_enqueued, drain, refute_enqueued};
//! # use deskhand_jobs::{Envelope, Job, Outcome, Registry, Run, outcome};
//! # #[derive(Debug, serde::Serialize, serde::Deserialize)]
//! # struct Greet { name: String }
//! # impl Job for Greet {
//! #     const KIND: &'static str = "mail.greet";
//! #     type Context = ();
//! #     async fn run(self, (): (), _: Run) -> outcome::Result { Ok(Outcome::Done) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = MemoryQueue::new();
//! let mut tomorrow = Envelope::new(&Greet { name: "Ada".into() })?;
//! tomorrow.run_at_ms = Some(queue.now_ms() + 86_400_000);
//! queue.push(&[tomorrow]).await?;
//! assert_enqueued::<Greet>(&queue, |job| job.name == "Ada").await;
//! refute_enqueued::<Greet>(&queue, |job| job.name == "Eve").await;
//!
//! let mut registry = Registry::new();
//! registry.add::<Greet>(())?;
//! assert!(drain(&queue, &registry).await?.is_empty());
//! queue.pass(Duration::from_secs(86_400));
//! assert_eq!(drain(&queue, &registry).await?[0].state, State::Succeeded);
//! # Ok(())
//! # }
//! ```

mod claim;
mod hands;
mod looks;
mod memory;
mod memory_audit;
mod memory_batches;
mod memory_dead;
mod memory_port;
mod step;

pub use hands::{Attempted, drain, run_due};
pub use looks::{assert_enqueued, enqueued, refute_enqueued};
pub use memory::MemoryQueue;
