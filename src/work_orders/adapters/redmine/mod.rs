//! Redmine.

mod adapter;
mod issue;
mod search;
mod update;

pub(super) use adapter::Redmine;
