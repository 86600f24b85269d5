//! Calls to systems that are not ours: one HTTP client for all of them.
//!
//! A caller says who has chosen the address ([`Trust`]); the section `[outbound]` of the settings says the rest. A call waits for a
//! place among those of its host, is not made while the host fails or has asked to wait, follows no redirect to another host, and
//! reads no more than it should. It judges no status: an [`Answer`] is whatever came back whole, an [`Error`] is everything else.
//! [`Error::Resting`] and [`Error::Asked`] say how long to wait; a job snoozes for so long.
//!
//! Link-local and metadata addresses are never called, private ones according to who asks. What is judged is what is connected to: a
//! literal in the url or in a redirect, else each address that the name has at the moment of the connection. Behind a proxy the proxy
//! resolves names once more, so there the judgement is of what *we* resolve; see `docs/outbound.md`.

mod address;
mod circuit;
mod client;
mod error;
pub mod figures;
mod hosts;
mod policy;
mod resolver;
mod retry_after;
mod settings;

pub use client::{Answer, Http};
pub use error::{Error, Hindrance};
pub use policy::{Allowed, Private, Refusal, Trust};
pub use resolver::Lookup;
pub use retry_after::retry_after;
pub use settings::{Direct, Proxy, Settings};
