//! Work orders: tickets of external systems, kept up to date here.
//!
//! A schedule runs [`jobs::Sync`] every minute. It enqueues one unique job per system whose turn it is. That job proves the
//! credentials, reads from the last mark on, page by page, and stores each page together with the place up to which it
//! reaches; an attempt that fails leaves the rest to the next. All attempts of a job are one run, with one sync log.
//!
//! What is changed here stays beside what the system says ([`model::Exchange`]) and is merged with it field by field
//! ([`model::merge()`]).
//!
//! To add a kind of system, see [`adapters`]. To add a use case: its SQL in `store/`, its transaction in `service/`, its door in
//! `http.rs` or `jobs/`.

pub mod adapters;
pub mod figures;
pub mod http;
pub mod jobs;
pub mod model;
mod service;
mod store;

pub use service::{Asked, Probe, Problem, WorkOrders};
pub use store::{
    logs::Filter as LogFilter,
    orders::{Filter, Stand},
};
