//! A Jira on a free loopback port: Data Center or Cloud.
//!
//! It does what the real ones do where that hurts: a stranger's search gives 200 and nothing, only `/myself` gives 401; Cloud
//! returns ids alone unless asked for fields, gives no total, fewer issues than asked for, and refuses an unbounded search; each
//! has only its own search; dates carry an offset without a colon. JQL is checked, not guessed. Faults come on the search
//! requests for which they are scripted, counted from 1. A status changes only by a transition that leads from the present one.

mod deeds;
mod desk;
mod edit;
mod issue;
mod server;

pub(crate) use super::fault::Fault;
pub(crate) use issue::Issue;
pub(crate) use server::{Deployment, Jira, PASSWORD, TOKEN, USER};
