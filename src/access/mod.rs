//! Who may come in, and what they may do: tenants, people, roles, tokens, sessions.
//!
//! Programs show a token, browsers a session; [`Caller`] is who it turns out to be, with the [`Scopes`] that it has in its tenant.
//! The guard of the API compares them with what the document asks for, and use cases that hand out rights take the caller as a
//! whole, because nobody hands out more than it has.

mod context;
pub mod http;
mod model;
pub mod oidc;
pub mod roles;
mod scope;
pub mod service;
pub mod sessions;
mod store;
pub mod tenants;
mod text;
pub mod users;

pub use context::{Access, Spans};
pub use model::{Caller, NewToken, Person, TokenId, TokenInfo};
pub use roles::{BusinessId, RoleName, holders};
pub use scope::{BuiltIn, NoBuiltIn, NoScope, Scope, Scopes};
