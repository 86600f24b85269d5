//! Jobs for programs in other languages, which work over HTTP.
//!
//! A tenant declares a *remote queue*. A job in one may have any kind; no worker of this program serves it, and behind it is a
//! queue of the engine that has the tenant in its name ([`behind`]). A *remote worker* registers, beats, claims and settles through
//! any process of the API ([`RemoteWork`]). To the engine it is a worker like any other: leases, rescue, retries, poison, limits are
//! the engine's own.
//!
//! Nothing is kept in the memory of one process: what a worker is stands in `remote_workers`, whether it lives in the queue, and the
//! terms of an attempt in the sealed lease that the worker shows again.

mod claim;
mod delivery;
mod lookup;
mod model;
mod name;
mod outcome;
mod overdue;
mod queues;
mod register;
mod settle;
mod store;
mod ticket;
mod work;

pub use claim::{Handed, Wanted};
pub use delivery::Delivery;
pub(super) use lookup::{Lookup, Target, lookup};
pub use model::{RemoteDefaults, RemoteQueue};
pub use name::{behind, in_front, is_open_to, shown};
pub use outcome::{Finished, Outcome};
pub(super) use queues::check_timeout;
pub use register::{Beaten, NewWorker, Registered};
pub use settle::{Answer, SettledJob, Told};
pub use work::{RemoteWork, is_remote};
