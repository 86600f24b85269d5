//! Calls to systems that are not ours: one HTTP client for all of them.
//!
//! It waits 10 s for a connection and 30 s for a whole answer, follows no redirect to another host, reads no more than
//! [`MAX_ANSWER_BYTES`], and calls neither link-local nor cloud metadata addresses. It judges no status: an [`Answer`] is
//! whatever came back whole, an [`Error`] is everything else.

mod address;
mod client;
mod retry_after;

pub use client::{Answer, Error, Http, MAX_ANSWER_BYTES};
pub use retry_after::retry_after;
