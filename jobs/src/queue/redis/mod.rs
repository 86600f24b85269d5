//! The store on Redis 7 or Valkey.
//!
//! All keys of a queue share the hash tag `{q:NAME}` and every change is one Lua script over them (`lua/`, the layout is described
//! in `lua/prelude.lua`), so a queue is always whole. Ids travel as their 16 bytes. What is plain costs least: a job with default
//! options, never failed, is one list entry and one hash field.
//!
//! An idle worker blocks in `BZPOPMIN` on the queues' markers; whoever makes work sets the marker in the same script.

mod audit;
mod connection;
mod read;
mod scripts;
mod steer;
mod store;
mod wait;
mod work;

pub use store::RedisQueue;
