//! Truth lives in SQL; the queue only moves work.
//!
//! A use case calls [`tx.enqueue(&envelope)`](Enqueue::enqueue) beside its business rows. After the commit the job is in `jobs`,
//! and will run: the [`Relay`] pushes it, the [`Keeper`] writes its end back, the [`Reconciler`] sends again what the queue lost,
//! the [`Auditor`] has the queue prove that it agrees with itself.
//! [`tx.enqueue_batch`](Enqueue::enqueue_batch) writes many jobs and one that runs when all of them have ended ([`batches`]).
//! Once a day [`jobs::Clean`] removes what ended long ago. [`remote`] lets programs in other languages work over HTTP.

mod auditor;
pub mod batches;
mod bulk;
mod dead;
mod entry;
mod explain;
pub mod figures;
pub mod freezes;
mod groups;
mod hold;
mod intake;
pub mod jobs;
mod keeper;
pub mod ledger;
mod limits;
mod lines;
mod listener;
mod live;
mod model;
mod outage;
mod outbox;
mod queues;
mod reconciler;
mod relay;
pub mod remote;
pub mod retention;
mod rounds;
pub mod schedules;
pub mod service;
mod steer;
mod wanted;
mod way;
mod words;

pub use auditor::{Auditor, DRIFT_TOTAL};
pub use bulk::{MOST_AT_ONCE, Many};
pub use dead::{Edit, MOST_PACED, MOST_UNPACED, Redriven};
pub use entry::Entry;
pub use explain::Reason;
pub use groups::Group;
pub use keeper::Keeper;
pub use live::{NoPlace, NoStand, Place, Stand};
pub use model::{LedgerState, NoState};
pub use outbox::Enqueue;
pub use reconciler::{Reconciler, Sweep};
pub use relay::Relay;
pub use rounds::{Going, Rounds};
pub use service::Service;
pub use words::NoWord;
