//! Zendesk Support.

mod adapter;
mod search;
mod ticket;
mod update;

pub(super) use adapter::Zendesk;
