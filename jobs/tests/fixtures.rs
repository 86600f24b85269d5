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

/// The address of a server of this run; `None` if the run is without it.
fn server_url(variable: &str, without: &[(&str, &str)]) -> Option<String> {
    let url = std::env::var(variable).ok();
    let left_out = without.iter().any(|(name, value)| std::env::var(name).as_deref() == Ok(*value));
    let ways: Vec<_> = without.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert!(url.is_some() || left_out, "no {variable}: run the tests with `make test`, or set {}", ways.join(" or "));
    url
}

/// The address of the Redis server of this run; `None` if the run is without servers.
pub(crate) fn redis_url() -> Option<String> {
    server_url("DESKHAND_TEST_REDIS_URL", &[("TEST_ONLY", "sqlite")])
}

/// The address of the cluster of this run; `None` if the run is without servers.
pub(crate) fn cluster_url() -> Option<String> {
    server_url("DESKHAND_TEST_CLUSTER_URL", &[("TEST_ONLY", "sqlite")])
}

/// A key prefix nobody else uses.
pub(crate) fn prefix() -> String {
    format!("test:{}", deskhand_jobs::JobId::new())
}

/// An id that Redis keeps as the 16 bytes that it is, for tests that write there by hand.
pub(crate) fn whole_id() -> deskhand_jobs::JobId {
    let mut bytes = *deskhand_jobs::JobId::new().as_bytes();
    bytes[0] = 0xf0;
    deskhand_jobs::JobId::from_slice(&bytes).expect("16 bytes")
}

/// On the Redis server of this run.
pub(crate) async fn redis(endings: Endings) -> Option<Store> {
    Some(at(&redis_url()?, endings).await)
}

/// On the cluster of this run.
pub(crate) async fn cluster(endings: Endings) -> Option<Store> {
    Some(at(&cluster_url()?, endings).await)
}

/// On the Valkey server of this run, as a user with no more rights than the README lists.
pub(crate) async fn valkey(endings: Endings) -> Option<Store> {
    const WITHOUT: [(&str, &str); 2] = [("TEST_WITHOUT", "valkey"), ("TEST_ONLY", "sqlite")];
    let url = server_url("DESKHAND_TEST_VALKEY_URL", &WITHOUT)?;
    let admin = redis::Client::open(url.as_str()).expect("a valid address");
    let mut admin = admin.get_multiplexed_async_connection().await.expect("the test server answers");
    user_of_the_readme("desk", "test").exec_async(&mut admin).await.expect("a valid rule");
    Some(at(&url.replace("://", "://desk:secret@"), endings).await)
}

/// The README's command that makes a user, with another name, the password "secret" and another prefix.
pub(crate) fn user_of_the_readme(user: &str, prefix: &str) -> redis::Cmd {
    let lines = include_str!("../README.md").lines();
    let rule: Vec<&str> =
        lines.skip_while(|line| !line.starts_with("ACL SETUSER ")).take_while(|line| *line != "```").collect();
    let rule = rule.join(" ").replace("SETUSER deskhand", &format!("SETUSER {user}"));
    let rule = rule.replace(">PASSWORD", ">secret").replace("~deskhand:*", &format!("~{prefix}:*"));
    let mut words = rule.split_whitespace().filter(|word| *word != "\\");
    let mut command = redis::cmd(words.next().expect("the README has the command"));
    command.arg(words.collect::<Vec<_>>());
    command
}

async fn at(url: &str, endings: Endings) -> Store {
    let queue = Arc::new(RedisQueue::open(url, &prefix(), endings).await.expect("the test server answers"));
    let clock = queue.clone();
    let shift: Shift = Box::new(move |ms| {
        let clock = clock.clone();
        Box::pin(async move { clock.shift_clock(ms).await.expect("the clock moves") })
    });
    Store { queue, shift, _directory: None }
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
