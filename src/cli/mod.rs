//! The command line. One file per command; each acts on the database and the queue of the configuration, as the API does.
//!
//! To add a command: 1. a file with its `clap::Args` and `run`; 2. its line in `args.rs`, twice.

mod api;
mod args;
mod audit;
mod backup;
mod bench;
mod completions;
mod dead;
mod doctor;
mod enqueue;
mod freezes;
mod jobs;
mod logging;
mod migrate;
mod openapi;
mod password;
mod print;
mod probe;
mod queues;
mod remote_queues;
mod role;
mod schedules;
mod secrets;
mod serve;
mod sync;
mod sync_logs;
mod sync_wait;
mod tenant;
mod token;
mod top;
mod user;
mod workers;

pub use args::{Args, run};
