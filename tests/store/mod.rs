//! Store functions and what they rest on, on both databases.

mod audit;
mod batches;
mod held_slots;
mod idempotency;
mod intake;
mod locks;
mod migrations;
mod outbox;
mod outcomes;
mod pages;
mod relay;
mod retention;
mod roles;
mod schedule_edits;
mod schedules;
mod secrets;
mod steering;
mod sync_parts;
mod sync_runs;
mod tenants;
mod ticket_changes;
mod tokens;
mod twins;
mod users;
mod work_orders;
