//! Who may come in: API tokens. A token is shown once, when it is made; the database keeps its hash.

mod model;
mod scope;
pub mod service;
mod store;

pub use model::{Caller, TokenId, TokenInfo};
pub use scope::{BuiltIn, NoBuiltIn, NoScope, Scope, Scopes};
