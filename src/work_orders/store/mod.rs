//! The SQL of work orders: systems, orders, and the logs of their runs. Every function joins the transaction it is given.

mod course;
pub(super) mod failures;
mod json;
pub(super) mod log_statistics;
pub(super) mod logs;
pub(super) mod orders;
pub(super) mod parts;
pub(super) mod systems;
