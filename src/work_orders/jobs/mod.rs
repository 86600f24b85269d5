//! The jobs of work orders. The schedule `work_orders.sync` runs the first every minute; it causes the second. The third
//! removes old records once a day.

mod clean_sync_logs;
mod reconcile;
mod sync;
mod sync_system;
mod update_external;

pub use clean_sync_logs::CleanSyncLogs;
pub use reconcile::Reconcile;
pub use sync::Sync;
