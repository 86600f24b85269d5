//! Who may come in: API tokens. A token is shown once, when it is made; the database keeps its hash.

mod model;
pub mod service;
mod store;

pub use model::{Caller, TokenId, TokenInfo};
