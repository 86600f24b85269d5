//! The use cases of work orders, one transaction each; a run has one per page.

mod context;
mod edit;
mod intake;
mod read;
mod run;
mod schedule;
mod settings;

pub use context::WorkOrders;
pub use schedule::Asked;
pub use settings::Probe;
