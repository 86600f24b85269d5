//! People who sign in.
//!
//! A name is one person in the whole installation. A person acts in every tenant of which it is a member, by the roles that it has
//! there; its account (password, address, whether it may come in at all) is kept by its tenant, or by the first tenant once it is a
//! member of several, so that nobody takes over a person of another tenant.

mod model;
mod password;
pub mod service;
pub(super) mod store;

pub use model::{Change, Draft, User};
pub(super) use model::{blank, name};
pub use password::{Passwords, Verdict};
