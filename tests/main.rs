//! All integration tests in one binary: one link, one set of fixtures.

mod fixtures;
mod house;
mod store;
