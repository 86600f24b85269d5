//! One queue or another, by its URL.

use std::path::Path;
use std::sync::Arc;

use deskhand_jobs::queue::redis::{RedisQueue, SCHEMES};
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};

use crate::base::{Error, Result, shown};
use crate::config::Queue as Settings;

/// Opens the queue that the settings name. It keeps endings: the ledger fetches them.
///
/// # Errors
/// [`Error::Invalid`] for a URL that is not supported, [`Error::Unavailable`] if nothing answers there.
pub async fn open_queue(settings: &Settings) -> Result<Arc<dyn Queue>> {
    let url = settings.url.as_str();
    match url.split_once("://") {
        Some(("sqlite", path)) => {
            Ok(Arc::new(SqliteQueue::open(Path::new(path), Endings::Keep).await.map_err(|error| told(url, error))?))
        }
        Some((scheme, _)) if SCHEMES.contains(&scheme) => Ok(Arc::new(
            RedisQueue::open(url, &settings.prefix, Endings::Keep).await.map_err(|error| told(url, error))?,
        )),
        given => {
            let scheme = given.map_or("none", |(scheme, _)| scheme);
            let cure = "what is supported is sqlite://FILE, redis://HOST:PORT/DB, redis+sentinel://HOST,HOST?service=NAME and \
                        redis+cluster://HOST,HOST, the last three also with rediss://";
            Err(Error::field("/queue/url", format!("the scheme of queue.url is {scheme}: {cure}")))
        }
    }
}

/// Says at the start, when somebody watches, what to look at.
fn told(url: &str, error: deskhand_jobs::queue::Error) -> Error {
    match error {
        deskhand_jobs::queue::Error::Unavailable { source, .. } => {
            let what = format!("the queue {} (is the server up? else check queue.url)", shown(url));
            Error::Unavailable { what, source }
        }
        // It names the store, the cause and the cure.
        other => Error::field("/queue/url", other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings { url: url.to_owned(), prefix: "test".to_owned() }
    }

    #[tokio::test]
    async fn a_url_that_is_not_supported_is_answered_with_those_that_are() {
        for url in ["amqp://u:hidden@h", "queue.db"] {
            let text = open_queue(&settings(url)).await.err().expect("refused").to_string();
            assert!(text.contains("rediss://") && !text.contains("hidden"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_is_a_queue() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}", directory.path().join("deep/queue.db").display());
        open_queue(&settings(&url)).await.expect("opens").check().await.expect("answers");
    }
}
