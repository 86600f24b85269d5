//! Tenants: those who share the installation and never see each other.
//!
//! A disabled tenant keeps all it has; its tokens and sessions are refused until it is enabled again.

mod model;
pub mod service;
pub(super) mod store;

pub use model::Tenant;
