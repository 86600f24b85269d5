//! The threads on which handlers of jobs run, apart from those that answer HTTP and talk to the queue.

use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::base::{Error, Result};

/// More threads than these cost more than they bring; a handler that blocks is rare, so many at once are rarer.
const MOST: usize = 256;

/// A runtime that is made when the first worker of the process starts and lives as long as the app: connections of the database
/// that a handler opened are driven by it, and others use them.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<OnceLock<Owned>>);

impl Threads {
    /// Returns the runtime of a worker that runs so many jobs at once.
    ///
    /// There is a thread for each job and one more, so that handlers which block theirs leave one that drives connections. A handler
    /// that blocks may still hold up one that was to begin on its thread.
    pub(crate) fn of(&self, concurrency: usize) -> Result<Handle> {
        if let Some(Owned(Some(runtime))) = self.0.get() {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(concurrency.clamp(1, MOST) + 1)
            .thread_name("deskhand-jobs")
            .enable_all()
            .build()
            .map_err(|error| {
                let cure = "allow this user more threads (ulimit -u, TasksMax), or lower worker.concurrency";
                Error::internal(format!("cannot start the threads of the worker: {cure}"), error)
            })?;
        let handle = runtime.handle().clone();
        // Of two that come at once the second takes what the first has made.
        match self.0.set(Owned(Some(runtime))) {
            Ok(()) => Ok(handle),
            Err(_) => self.of(concurrency),
        }
    }
}

struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        // A handler that blocks for ever must not hold up the end of the process, and a runtime may not wait within another.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
