//! All integration tests in one binary: one link, one set of fixtures.

mod doors;
mod fixtures;
mod house;
mod store;
