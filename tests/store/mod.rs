//! Store functions and what they rest on, on both databases.

mod outbox;
mod relay;
mod schedules;
mod steering;
mod tokens;
mod twins;
