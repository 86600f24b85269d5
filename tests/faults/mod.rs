//! Real processes that die.

mod killed_worker;
mod process;
mod redis_restarts;
// The one killable Redis of both crates.
#[allow(dead_code, reason = "the tests of the engine do more with it")]
#[path = "../../jobs/tests/faults/server.rs"]
mod redis_server;
