//! Roles, and who has which.
//!
//! Every tenant has viewer, operator, approver and admin; it makes more for its desk, such as `service_desk` (客服) or `qc`, with or
//! without scopes of their own. A role is granted within a tenant, for everything or for one business (`business_id`, as a CMDB
//! names it). What a person may do in the API follows from the grants for everything; flows ask [`holders`] who has a role for a
//! business, and there a grant for everything counts as well.

mod model;
pub mod service;
pub(super) mod store;

pub use model::{BusinessId, Draft, Effective, Grant, Role, RoleName, effective, reach};
pub use store::holders;
