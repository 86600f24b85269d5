//! The doors of access: `/me`, `/sessions`, `/auth/oidc`, `/users`, `/roles`, `/tokens`, `/tenants`.

mod me;
mod oidc;
mod roles;
mod router;
mod sessions;
mod tenants;
mod tokens;
mod users;

pub use router::router;
