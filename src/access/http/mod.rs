//! The doors of access: `/me`, `/sessions`, `/users`, `/roles`, `/tokens`, `/tenants`.

mod me;
mod roles;
mod router;
mod sessions;
mod tenants;
mod tokens;
mod users;

pub use router::router;
