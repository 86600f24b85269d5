//! The audit record: who changed what, when, from where and why. Entries are only ever added.
//!
//! A use case notes its change in its own transaction, so that neither is without the other:
//! [`tx.record(&actor, event)`](Record::record). What is changed outside the database, in the queue, goes through
//! [`service::around`], which notes the intent first.
//!
//! The entries of a tenant form a chain: each bears the hash of its content and of the entry before it. A row that was changed or
//! removed breaks the chain, and [`service::verify`] names the place. Whoever keeps an exported hash elsewhere can prove more: that
//! the chain up to there is the one that was exported.
//!
//! To audit a use case: 1. take `&Actor` instead of `&TenantId`; 2. record an [`Event`] whose action is `object.verb`, with what
//! was there before and what is there after, without secrets.

mod chain;
mod model;
mod record;
pub mod service;
mod store;

pub use chain::{Broken, Verdict};
pub use model::{Entry, Event, Filter};
pub use record::Record;
