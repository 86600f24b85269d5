//! Small servers that speak the real protocols of outside systems.

pub(crate) mod collector;
pub(crate) mod deeds;
pub(crate) mod desk;
pub(crate) mod fault;
pub(crate) mod jira;
pub(crate) mod oidc;
pub(crate) mod redmine;
pub(crate) mod rest;
pub(crate) mod tickets;
pub(crate) mod zendesk;
