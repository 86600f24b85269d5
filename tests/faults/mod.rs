//! Real processes that die.

mod killed_worker;
