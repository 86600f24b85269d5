//! Hearing of commits of other processes, where the database can tell.

use std::sync::Arc;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::outage::Outage;
use super::outbox::CHANNEL;
use crate::db::Db;

/// An ear on the channel of enqueued jobs; stops with its owner.
#[derive(Debug)]
pub(super) struct Listener {
    heard: Arc<Notify>,
    _stop: DropGuard,
}

impl Listener {
    /// Starts to listen; beside SQLite there is nothing to hear.
    pub(super) fn start(db: &Db, stop: &CancellationToken) -> Self {
        let heard = Arc::new(Notify::new());
        let stop = stop.child_token();
        if let Some(pool) = db.postgres() {
            let (pool, heard, stop) = (pool.clone(), heard.clone(), stop.clone());
            tokio::spawn(async move { stop.run_until_cancelled(listen(pool, heard)).await });
        }
        Self { heard, _stop: stop.drop_guard() }
    }

    /// Waits for the next commit of another process.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }
}

async fn listen(pool: PgPool, heard: Arc<Notify>) {
    let mut outage = Outage::new("the listener for enqueued jobs");
    loop {
        let Err(error) = hear(&pool, &heard, &mut outage).await;
        tokio::time::sleep(outage.failed(&error)).await;
    }
}

async fn hear(pool: &PgPool, heard: &Notify, outage: &mut Outage) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    outage.over();
    loop {
        // Also after a lost connection: what was said meanwhile was not heard.
        listener.try_recv().await?;
        heard.notify_one();
    }
}
