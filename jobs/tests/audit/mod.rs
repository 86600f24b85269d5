//! The audit: what was broken by hand is found and repaired, and a queue at work is never accused.

mod live;
mod on_redis;
