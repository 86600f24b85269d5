//! Jira, both kinds: Data Center and Server (REST v2, `startAt`) and Cloud (REST v3, `nextPageToken`).

mod adapter;
mod counts;
mod document;
mod issue;
mod search;
mod update;

pub(super) use adapter::Jira;
