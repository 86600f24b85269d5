//! Truth lives in SQL; the queue only moves work.
//!
//! A use case calls [`tx.enqueue(&envelope)`](Enqueue::enqueue) beside its business rows. After the commit the job is in `jobs`,
//! and will run.

mod model;
mod outbox;

pub use model::LedgerState;
pub use outbox::Enqueue;
