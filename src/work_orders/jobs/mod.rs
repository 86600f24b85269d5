//! The jobs of work orders. The schedule `work_orders.sync` runs the first every minute; it causes the second, which a
//! large run divides into parts. Once a day old records are removed, and every night one looks for tickets that are gone.

mod clean_sync_logs;
mod close_sync;
mod reconcile;
mod sync;
mod sync_part;
mod sync_system;
mod update_external;

pub use clean_sync_logs::CleanSyncLogs;
pub use reconcile::Reconcile;
pub use sync::Sync;
