//! Signing in with a company's own accounts: `OpenID Connect`, authorization code with PKCE.
//!
//! A browser is sent to the provider with a state, a nonce and the proof of a verifier; all three wait in a sealed cookie, so that only
//! the browser that began can finish, within ten minutes and once. Who somebody is follows from the provider's `sub`, which never
//! changes hands; a name only says how the account is called.

mod model;
mod provider;
mod service;
mod store;

pub use model::{Returned, Settings};
pub use service::{Departure, Oidc};
