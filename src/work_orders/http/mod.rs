//! The routes of work orders, under `/api/v1/…` and, as the first users know them, under `/api/…`.

mod failures;
mod logs;
mod orders;
mod router;
mod systems;

pub use router::router;
