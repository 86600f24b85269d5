//! Freeze windows: the maintenance calendar, in which a change manager says when schedules rest.
//!
//! A window covers all schedules of its tenant, or those named, or those whose jobs are of a family of kinds. What is due in it is
//! passed over ([`Policy::Skip`]) or fires once when the window ends ([`Policy::Defer`]). Where windows overlap, one that skips wins:
//! whoever skips does not want the run at all, and a deferred one would bring it back.

mod calendar;
mod model;
pub mod service;
mod store;

pub(super) use calendar::{Calendar, Freeze};
pub use model::{Draft, FreezeId, FreezeWindow, Policy};
pub(super) use store::enabled;
