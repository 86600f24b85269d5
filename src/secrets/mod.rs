//! The secrets of all subjects together: which columns hold them, whether this process has the keys of its database, and the change of
//! keys.
//!
//! To add a column that holds sealed texts: its line in `columns.rs`. A test finds columns that look as if they did and have none.

mod columns;
mod keys;
mod rotate;
mod status;
mod store;

pub use columns::{Column, SEALED};
pub use keys::{check_keys, settle_keys};
pub use rotate::{BATCH, Rotation, Unreadable, rotate};
pub use status::{Count, status};
