//! Real processes that die.

mod backup;
mod killed_parts;
mod killed_worker;
pub(crate) mod process;
mod redis_restarts;
