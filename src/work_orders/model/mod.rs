//! The values and decisions of work orders: no I/O, no async, no SQL.

mod change;
mod dates;
mod draft;
mod edits;
mod exchange;
mod failure;
mod field;
mod id;
mod mapping;
mod merge;
mod outgoing;
mod part;
mod position;
mod run;
mod sort;
mod statistics;
mod swings;
mod system;
mod ticket;
mod vanished;
mod words;

pub use change::{Change, Edit, Person};
pub use dates::{end_of_day, parse_instant};
pub use draft::{Draft, MASK, SecretChange};
pub use edits::Edits;
pub use exchange::{Clash, Exchange, Mark, Pending, Push, PushState};
pub use failure::{Failure, MAX_TRIES, next_try};
pub use field::{Field, Side};
pub use id::{SyncLogId, SyncPartId, SystemId, WorkOrderId};
pub use mapping::{Category, Mapping, Priority, Status};
pub use merge::{confirm, is_stale, merge};
pub use outgoing::{UpdateExternal, change_of};
pub use part::{CloseSync, FanOut, Part, SyncPart};
pub use position::{OVERLAP, Position, page_mark};
pub use run::{Counts, RowError, RunStatus, SyncLog, SyncSystem, SyncType};
pub use sort::Sort;
pub use statistics::{
    DayTrend, LogStatistics, OrderStatistics, Performance, Processed, Recent, SystemPerformance, SystemRuns,
};
pub use swings::{Swing, Swings};
pub use system::{Sealed, System};
pub use ticket::{Content, Remote, SyncStatus, WorkOrder};
pub use vanished::{ReconcileSystem, too_many};
