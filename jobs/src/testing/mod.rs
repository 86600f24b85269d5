//! What tests of jobs need: a queue in memory with a clock that a test can move on, and hands that run what is due.
//!
//! [`MemoryQueue`] is a store like the others and passes the same conformance suite; it forgets everything when it is dropped.
//!
//! ```
//! use deskhand_jobs::queue::Queue;
//! use deskhand_jobs::testing::{MemoryQueue, enqueued, run_due};
//! # use deskhand_jobs::{Envelope, Job, Outcome, Registry, Run, outcome};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct Greet { name: String }
//! # impl Job for Greet {
//! #     const KIND: &'static str = "mail.greet";
//! #     type Context = ();
//! #     async fn run(self, (): (), _: Run) -> outcome::Result { Ok(Outcome::Done) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = MemoryQueue::new();
//! queue.push(&[Envelope::new(&Greet { name: "Ada".into() })?]).await?;
//! assert_eq!(enqueued::<Greet>(&queue).await?[0].name, "Ada");
//!
//! let mut registry = Registry::new();
//! registry.add::<Greet>(())?;
//! let ends = run_due(&queue, &registry).await?;
//! assert_eq!(ends[0].state, deskhand_jobs::queue::State::Succeeded);
//! # Ok(())
//! # }
//! ```

mod hands;
mod memory;
mod memory_audit;
mod memory_batches;
mod memory_dead;
mod memory_port;
mod step;

pub use hands::{Attempted, enqueued, run_due};
pub use memory::MemoryQueue;
