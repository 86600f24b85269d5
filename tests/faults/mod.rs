//! Real processes that die.

mod backup;
mod killed_worker;
mod process;
mod redis_restarts;
// The fixture of the engine's fault tests; what only those use is idle here.
#[allow(dead_code, reason = "shared with the tests of the engine")]
#[path = "../../jobs/tests/faults/server.rs"]
mod redis_server;
