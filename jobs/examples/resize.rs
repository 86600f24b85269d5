//! A queue in one file, a job, and a worker that runs it: `cargo run -p deskhand-jobs --example resize`.

use std::sync::Arc;

use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, Options, Outcome, Registry, Run, outcome};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// The fields are the arguments; they travel as JSON.
#[derive(Serialize, Deserialize)]
struct Resize {
    image: String,
    width: u32,
}

/// What the handler needs beside its arguments.
#[derive(Clone)]
struct Studio {
    closing: CancellationToken,
}

impl Job for Resize {
    const KIND: &'static str = "image.resize";
    type Context = Studio;

    fn options(&self) -> Options {
        Options { max_attempts: 3, timeout_ms: 10_000, ..Options::default() }
    }

    async fn run(self, studio: Studio, run: Run) -> outcome::Result {
        if self.width == 0 {
            return Ok(Outcome::Fail("nothing has no width".to_owned()));
        }
        println!("attempt {} of {}: {} to {} px", run.attempt, run.id, self.image, self.width);
        studio.closing.cancel();
        Ok(Outcome::Done)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Redis instead: RedisQueue::open("redis://127.0.0.1:6379", "images", Endings::Drop)
    let file = std::env::temp_dir().join(format!("resize-{}", std::process::id())).join("queue.db");
    let queue: Arc<dyn Queue> = Arc::new(SqliteQueue::open(&file, Endings::Drop).await?);
    queue.push(&[Envelope::new(&Resize { image: "cat.png".to_owned(), width: 640 })?]).await?;

    let stop = CancellationToken::new();
    let mut registry = Registry::new();
    registry.add::<Resize>(Studio { closing: stop.clone() })?;
    let summary = Worker::new(queue, registry, Config::default()).run(stop).await;
    println!("{summary}");
    Ok(())
}
