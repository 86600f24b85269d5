//! The rack of adapters: how to speak with each kind of ticket system.
//!
//! To add one:
//! 1. Write `adapters/<name>.rs` (or a directory) with a type that implements [`Adapter`]. Judge answers with
//!    `judge`, so that every system fails in the same words.
//! 2. Add it to the list in `rack.rs`. Its settings, their checks and its form come from [`Adapter::about`].
//! 3. Add a fake of the system under `tests/fakes/` and a line in `tests/fakes/desk.rs`: one suite runs over all, in
//!    `tests/contracts/adapters/`.

mod adapter;
mod anchor;
mod cuts;
mod error;
mod fields;
mod jira;
mod judge;
mod people;
mod rack;
mod redmine;
mod rest;
mod said;
mod walk;
mod wanted;
mod zendesk;

pub use adapter::{About, Account, Adapter, Connection, Deleted, Field, FieldKind, Page, PageToken, Window};
pub use error::{Error, Seen};
pub use rack::{all, find};
pub use walk::Walk;
