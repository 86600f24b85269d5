//! Real processes that die.

mod backup;
mod killed_worker;
mod process;
mod redis_restarts;
