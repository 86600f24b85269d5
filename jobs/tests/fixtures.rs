//! Stores for tests: each test has one of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::testing::MemoryQueue;

type Shift = Box<dyn Fn(i64) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A store and its clock.
pub(crate) struct Store {
    pub(crate) queue: Arc<dyn Queue>,
    shift: Shift,
    _directory: Option<tempfile::TempDir>,
}

impl Store {
    /// Moves the store's clock.
    pub(crate) async fn pass(&self, ms: i64) {
        (self.shift)(ms).await;
    }
}

/// The address of the server of this run; `None` if the run is without servers.
pub(crate) fn redis_url() -> Option<String> {
    let url = std::env::var("DESKHAND_TEST_REDIS_URL").ok();
    assert!(
        url.is_some() || std::env::var("TEST_ONLY").as_deref() == Ok("sqlite"),
        "no Redis for tests: run them with `make test`, or set TEST_ONLY=sqlite"
    );
    url
}

/// A key prefix nobody else uses.
pub(crate) fn prefix() -> String {
    format!("test:{}", deskhand_jobs::JobId::new())
}

/// On the server of this run; `None` if the run is without servers.
pub(crate) async fn redis(endings: Endings) -> Option<Store> {
    let (url, prefix) = (redis_url()?, prefix());
    let queue = Arc::new(RedisQueue::open(&url, &prefix, endings).await.expect("the test server answers"));
    let clock = queue.clone();
    let shift: Shift = Box::new(move |ms| {
        let clock = clock.clone();
        Box::pin(async move { clock.shift_clock(ms).await.expect("the clock moves") })
    });
    Some(Store { queue, shift, _directory: None })
}

/// In memory; what the model test compares the others with.
#[allow(clippy::unused_async, reason = "all stores are made alike")]
pub(crate) async fn memory(endings: Endings) -> Option<Store> {
    let queue = Arc::new(MemoryQueue::with(endings));
    let clock = queue.clone();
    let shift: Shift = Box::new(move |ms| {
        let clock = clock.clone();
        Box::pin(async move { clock.shift_clock(ms).await.expect("the clock moves") })
    });
    Some(Store { queue, shift, _directory: None })
}

/// A file of its own.
pub(crate) async fn sqlite(endings: Endings) -> Option<Store> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("queue.db");
    let queue = Arc::new(SqliteQueue::open(&path, endings).await.expect("the file opens"));
    let clock = queue.clone();
    let shift: Shift = Box::new(move |ms| {
        let clock = clock.clone();
        Box::pin(async move { clock.shift_clock(ms).await.expect("the clock moves") })
    });
    Some(Store { queue, shift, _directory: Some(directory) })
}
