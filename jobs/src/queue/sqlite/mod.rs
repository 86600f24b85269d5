//! The store in one `SQLite` file: everything a newcomer needs, and enough for one busy host.
//!
//! | file | duty |
//! |---|---|
//! | `schema/` | the layouts, one step after another; counts are kept by triggers |
//! | `open.rs` | the file, its connections, its version; transactions and their instant |
//! | `writer.rs` | whose turn it is to write, and the commit that turns share |
//! | `disk.rs` | refuses network file systems |
//! | `fault.rs` | what `SQLite` says → [`Error`](super::Error), with the cure |
//! | `step.rs` | what becomes of a job: pure |
//! | `apply.rs` | writes those steps, many at once |
//! | `push.rs` `claim.rs` `settle.rs` `beat.rs` `steer.rs` | the changes, one transaction each |
//! | `batches.rs` | jobs that one job waits for |
//! | `tell.rs` | what running jobs tell |
//! | `retain.rs` | how long finished jobs stay |
//! | `limits.rs` `pick.rs` | limits of queues and groups, and who starts next under them |
//! | `wake.rs` | waiting |
//! | `columns.rs` | pieces of SQL that several statements share |
//! | `record.rs` `read.rs` `endings.rs` `check.rs` | the reads |
//! | `audit.rs` | proves that the rows agree with each other |
//! | `port.rs` | the trait, in terms of the above |
//!
//! All changes go through one connection and begin with `BEGIN IMMEDIATE`, so what a transaction has read stays true until it
//! commits; other processes queue up at the file's lock. Whatever a call does for many jobs it does in a fixed number of
//! statements: lists travel as one JSON parameter, and what comes back is one row. A commit reaches the disk before the call
//! returns (`synchronous=FULL`), hence the calls worth making are the ones with many jobs; calls that come at the same time share
//! a commit.
//!
//! A ready job whose group may not start one is met by a claim once and marked as limited: it keeps its place but leaves the index of
//! the line, so no later claim passes over it again. A trigger lets a claim meet the first ones anew when a slot becomes free.
//!
//! The place of a ready job is a number drawn when it became ready. It keeps that number while it runs, so a job that is handed
//! back or rescued stands before every job that came after it.

mod apply;
mod audit;
mod batches;
mod beat;
mod check;
mod claim;
mod columns;
mod dead;
mod disk;
mod endings;
mod fault;
#[cfg(test)]
mod fixture;
mod limits;
mod open;
mod pick;
mod port;
mod push;
mod read;
mod record;
mod retain;
mod settle;
mod steer;
mod step;
mod tell;
mod wake;
mod writer;

pub use open::SqliteQueue;
