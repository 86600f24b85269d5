//! Work orders: tickets of external systems, kept up to date here.
pub mod adapters;
pub mod model;
