//! What is counted of the database. Names and meaning stand in `docs/metrics.md`.

use std::time::{Duration, Instant};

use metrics::Unit;

const CONNECTIONS: &str = "deskhand_db_connections";
const CONNECTIONS_MAX: &str = "deskhand_db_connections_max";
const BEGIN: &str = "deskhand_db_begin_seconds";
const TRANSACTION: &str = "deskhand_db_transaction_seconds";

/// Describes the figures to the recorder of this process.
pub fn describe() {
    metrics::describe_gauge!(CONNECTIONS, "Connections to the database, by pool and state: busy, idle");
    metrics::describe_gauge!(CONNECTIONS_MAX, "The most connections that a pool opens");
    metrics::describe_histogram!(
        BEGIN,
        Unit::Seconds,
        "How long a transaction waited for its connection and its begin"
    );
    metrics::describe_histogram!(TRANSACTION, Unit::Seconds, "How long transactions took, by access: read, write");
}

/// Tells how full a pool is.
pub(super) fn pool<DB: sqlx::Database>(name: &'static str, pool: &sqlx::Pool<DB>) {
    let (open, idle) = (pool.size() as usize, pool.num_idle());
    metrics::gauge!(CONNECTIONS, "pool" => name, "state" => "idle").set(idle as f64);
    metrics::gauge!(CONNECTIONS, "pool" => name, "state" => "busy").set(open.saturating_sub(idle) as f64);
    metrics::gauge!(CONNECTIONS_MAX, "pool" => name).set(f64::from(pool.options().get_max_connections()));
}

/// Times a transaction from its begin to its end, whichever end that is.
#[derive(Debug)]
pub(super) struct Timer {
    access: &'static str,
    began: Instant,
}

impl Timer {
    /// Starts, after a wait for the begin.
    pub(super) fn start(access: &'static str, waited: Duration) -> Self {
        metrics::histogram!(BEGIN, "access" => access).record(waited.as_secs_f64());
        Self { access, began: Instant::now() }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        metrics::histogram!(TRANSACTION, "access" => self.access).record(self.began.elapsed().as_secs_f64());
    }
}
