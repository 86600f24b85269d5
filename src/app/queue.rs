//! One queue or another, by its URL.

use std::path::Path;
use std::sync::Arc;

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};

use crate::base::{Error, Result};

/// In front of every key, so that a Redis can be shared.
const REDIS_PREFIX: &str = "deskhand";

/// Opens the queue at a URL. It keeps endings: the ledger fetches them.
///
/// # Errors
/// [`Error::Invalid`] for a URL that is not supported, [`Error::Unavailable`] if nothing answers there.
pub async fn open_queue(url: &str) -> Result<Arc<dyn Queue>> {
    match url.split_once("://") {
        Some(("sqlite", path)) => Ok(Arc::new(SqliteQueue::open(Path::new(path), Endings::Keep).await?)),
        Some(("redis" | "rediss", _)) => Ok(Arc::new(RedisQueue::open(url, REDIS_PREFIX, Endings::Keep).await?)),
        given => {
            let scheme = given.map_or("none", |(scheme, _)| scheme);
            let cure = "what is supported is sqlite://FILE, redis://HOST:PORT/DB and rediss://HOST:PORT/DB";
            Err(Error::field("/queue/url", format!("the scheme of queue.url is {scheme}: {cure}")))
        }
    }
}

/// Blanks the password of a URL.
pub fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Fails only for a URL without a host, which has no password.
            let _ = parsed.set_password(Some("***"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_that_is_not_supported_is_answered_with_those_that_are() {
        for url in ["amqp://u:hidden@h", "queue.db"] {
            let text = open_queue(url).await.err().expect("refused").to_string();
            assert!(text.contains("rediss://") && !text.contains("hidden"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_is_a_queue() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}", directory.path().join("deep/queue.db").display());
        open_queue(&url).await.expect("opens").check().await.expect("answers");
    }
}
