//! What people live through, from the first request to the last log line; on both databases and both queues.

mod batches;
mod convergence;
mod fan_out;
mod keys;
mod leaks;
mod outbox;
mod redis_away;
mod remote_workers;
mod signing_in;
mod sync;
mod tenants;
mod trace;
mod updates;
mod weeks;
