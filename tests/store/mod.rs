//! Store functions and what they rest on, on both databases.

mod audit;
mod held_slots;
mod locks;
mod migrations;
mod outbox;
mod outcomes;
mod pages;
mod relay;
mod retention;
mod schedule_edits;
mod schedules;
mod steering;
mod sync_runs;
mod tokens;
mod twins;
mod work_orders;
