//! The jobs of work orders. The schedule `work_orders.sync` runs the first every 5 minutes; it causes the second.

mod sync;
mod sync_system;

pub use sync::Sync;
