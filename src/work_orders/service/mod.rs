//! The use cases of work orders, one transaction each; a run has one per page.

mod carry;
mod context;
mod edit;
mod fan_out;
mod intake;
mod page;
mod probe;
mod read;
mod reconcile;
mod retry;
mod run;
mod schedule;
mod settings;
mod update;

pub use context::WorkOrders;
pub use probe::{Probe, Problem};
pub use schedule::Asked;
