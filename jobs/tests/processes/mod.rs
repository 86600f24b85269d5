//! Faults with real processes: workers that are killed and stopped, servers that die, and a count of what became of every job.
//!
//! A worker process is this test binary, started again with the name of one ignored test (`worker_process`) and its orders in
//! the environment. Each run of a job is written to the process's journal, a file that the queue knows nothing of. At the end
//! `report` reads all journals: a job that never ran to its end is lost, and one that ran more often than once must be explained by
//! a fault that the test has caused.
//!
//! To add a scenario: an `async fn` over a [`Crew`](crew::Crew), faults only by its methods so that they are on record, and at the
//! end [`Crew::account`](crew::Crew::account).

mod clocks;
mod crew;
mod floods;
mod journal;
mod kills;
mod report;
mod rollback;
mod servers;
mod soak;
mod stops;
mod worker_process;
