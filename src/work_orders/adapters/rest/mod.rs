//! Any system with an HTTP API that speaks JSON, described by its settings alone.
//!
//! [`plan`] reads and judges the settings, [`template`] the addresses among them. `docs/work-orders.md` has an example.

mod about;
mod adapter;
mod call;
mod list;
mod plan;
mod template;
mod ticket;
mod update;

pub(super) use adapter::Rest;
