//! Requests that are sent twice and carried out once.
//!
//! A request that creates may bear a key. The first one with a key holds it while it is carried out; its answer is kept for a day,
//! sealed, and whoever sends the same request again gets it. A process that dies in between leaves a key without an answer; the audit
//! record then tells whether the request did something, because both commit together: if it did, it is never carried out again.

mod model;
pub mod service;
mod store;

pub use model::{Answer, Held, Key};
