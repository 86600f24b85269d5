//! Tests of the engine against real stores.

mod audit;
mod common_case;
mod conformance;
mod faults;
mod fixtures;
mod model;
mod processes;
mod topology;
mod watch;
