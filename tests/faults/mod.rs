//! Real processes that die.

mod killed_worker;
mod process;
mod redis_restarts;
#[path = "../../jobs/tests/faults/server.rs"]
mod redis_server;
