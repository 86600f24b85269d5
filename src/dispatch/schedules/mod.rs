//! Schedules: jobs that are enqueued again and again.
//!
//! A slot is an instant at which a schedule is due. Whoever inserts its row enqueues its job, in one transaction: any number of
//! schedulers may run, none leads, and no slot fires twice. A slot whose job before has not ended, or that falls into a freeze
//! window, may wait: one of each schedule, in its row. To add a schedule, declare it in the configuration.

mod declare;
mod definition;
mod edit;
mod held;
mod model;
mod plan;
mod preview;
mod scheduler;
pub mod service;
mod store;
mod times;

pub use declare::{Declared, check_declared, sync_declared};
pub use definition::{Definition, Edit, is_known};
pub use model::{CatchUp, Overlap, Schedule, ScheduleId, Slot, SlotOutcome};
pub use preview::{Fire, Frozen, Night};
pub use scheduler::Scheduler;
pub use store::prune_slots;
