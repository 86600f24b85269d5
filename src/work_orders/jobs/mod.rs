//! The jobs of work orders. The schedule `work_orders.sync` runs the first every minute; it causes the second. The third
//! removes old records once a day.

mod clean_sync_logs;
mod sync;
mod sync_system;

pub use clean_sync_logs::CleanSyncLogs;
pub use sync::Sync;
