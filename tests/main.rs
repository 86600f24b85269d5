//! All integration tests in one binary: one link, one set of fixtures.

mod api;
mod contracts;
mod deploy;
mod fakes;
mod faults;
mod fixtures;
mod house;
mod store;
mod stories;
