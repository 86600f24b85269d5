//! Store functions and what they rest on, on both databases.

mod outbox;
mod tokens;
mod twins;
