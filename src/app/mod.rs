//! What every door stands on: the database, the queue, the registry of jobs, and the roles a process can take.
//!
//! To add a subject: 1. its jobs in `jobs.rs`; 2. its routes in `http/router.rs`.

mod jobs;
mod open;
mod queue;
mod roles;
mod signals;
mod threads;
mod vault;

pub use open::{App, Parts};
pub use queue::open_queue;
pub use roles::{Role, Running};
pub use signals::stop_signal;
pub(crate) use threads::Threads;
pub use vault::open_vault;
