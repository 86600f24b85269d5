//! The values and decisions of work orders: no I/O, no async, no SQL.

mod change;
mod dates;
mod draft;
mod id;
mod mapping;
mod position;
mod run;
mod system;
mod ticket;
mod words;

pub use change::{Change, Edit, Person};
pub use dates::{end_of_day, parse_instant};
pub use draft::{Draft, MASK, SecretChange};
pub use id::{SyncLogId, SystemId, WorkOrderId};
pub use mapping::{Category, Mapping, Priority, Status};
pub use position::{OVERLAP, Position, page_mark};
pub use run::{Counts, RowError, RunStatus, SyncLog, SyncSystem, SyncType};
pub use system::{Sealed, System};
pub use ticket::{Content, Remote, SyncStatus, WorkOrder};
