//! The jobs that keep the ledger in order.

mod clean;

pub use clean::Clean;
