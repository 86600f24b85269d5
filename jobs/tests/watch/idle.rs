//! What a worker at rest costs its server, and how soon it is at work again.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deskhand_jobs::outcome::{self, Outcome};
use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Queue};
use deskhand_jobs::worker::{Config, Worker};
use deskhand_jobs::{Envelope, Job, QueueName, Registry, Run};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::conformance::{plain, worker_of};
use crate::faults::server::RedisServer;
use crate::faults::until;

/// Three beats of an idle worker.
const WATCHED: Duration = Duration::from_secs(18);

/// Tells when it was started.
#[derive(Serialize, Deserialize)]
struct Ring {}

impl Job for Ring {
    const KIND: &'static str = "test.ring";
    type Context = mpsc::UnboundedSender<Instant>;

    async fn run(self, heard: Self::Context, _: Run) -> outcome::Result {
        heard.send(Instant::now())?;
        Ok(Outcome::Done)
    }
}

struct Resting {
    queue: Arc<dyn Queue>,
    heard: mpsc::UnboundedReceiver<Instant>,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<deskhand_jobs::worker::Summary>,
}

async fn rest(server: &RedisServer, queues: &str) -> Resting {
    let queue = RedisQueue::open(&server.url(), "idle", Endings::Keep).await.expect("answers");
    let queue: Arc<dyn Queue> = Arc::new(queue);
    let (sender, heard) = mpsc::unbounded_channel();
    let mut registry = Registry::new();
    registry.add::<Ring>(sender).expect("the only one");
    let config = Config { queues: queues.parse().expect("a set"), ..Config::default() };
    let (stop, worker) = (CancellationToken::new(), Worker::new(Arc::clone(&queue), registry, config));
    let health = worker.health();
    let run = tokio::spawn(worker.run(stop.clone()));
    until("the first claim", async || health.last_contact().is_some()).await;
    Resting { queue, heard, stop, run }
}

impl Resting {
    async fn end(self) {
        self.stop.cancel();
        self.run.await.expect("ends without panic");
    }
}

/// Listens to everything that clients ask of a server; what scripts ask within is not a command of a client.
fn commands_of_clients(port: u16, how_long: Duration) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("listens");
    stream.write_all(b"MONITOR\r\n").expect("takes it");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    let (mut lines, deadline) = (BufReader::new(stream), Instant::now() + how_long);
    let (mut commands, mut line) = (Vec::new(), Vec::new());
    while Instant::now() < deadline {
        // A time-out in the middle of a line keeps what was read of it.
        if lines.read_until(b'\n', &mut line).is_ok() {
            let text = String::from_utf8_lossy(&line).into_owned();
            if text.contains('[') && !text.contains(" lua]") {
                commands.push(text);
            }
            line.clear();
        }
    }
    commands
}

#[tokio::test]
async fn a_worker_at_rest_asks_at_most_once_a_second() {
    let Some(server) = RedisServer::start() else { return };
    let worker = rest(&server, "a,b,c").await;
    let port = server.port();
    let commands = tokio::task::spawn_blocking(move || commands_of_clients(port, WATCHED)).await.expect("listens");
    let count = commands.len();
    assert!(count as u64 <= WATCHED.as_secs(), "{count} commands in {} s:\n{}", WATCHED.as_secs(), commands.concat());
    assert!(commands.iter().any(|command| command.contains("BZPOPMIN")), "it waits on the server");
    worker.end().await;
}

#[tokio::test]
async fn a_push_is_picked_up_in_the_time_of_a_few_commands() {
    const ROUNDS: usize = 101;
    let Some(server) = RedisServer::start() else { return };
    let mut worker = rest(&server, "default").await;
    let client = redis::Client::open(server.url()).expect("a valid address");
    let mut pinged = client.get_multiplexed_async_connection().await.expect("it answers");
    let (mut pings, mut picks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        redis::cmd("PING").exec_async(&mut pinged).await.expect("it answers");
        pings.push(start.elapsed());
        let job = Envelope::new(&Ring {}).expect("small");
        let start = Instant::now();
        worker.queue.push(&[job]).await.expect("takes it");
        picks.push(worker.heard.recv().await.expect("it rings").duration_since(start));
    }
    for times in [&mut pings, &mut picks] {
        times.sort_unstable();
    }
    let (ping, pick) = (pings[ROUNDS / 2], picks[ROUNDS / 2]);
    // A worker that looks by itself, however often, would be far beyond: it waits for up to 4 s.
    assert!(pick < 60 * ping + Duration::from_millis(5), "a push is picked up after {pick:?}, a ping takes {ping:?}");
    worker.end().await;
}

#[tokio::test]
async fn a_job_comes_with_the_end_of_the_wait_for_it_and_after_a_loss_of_scripts_with_the_next_claim() {
    let Some(server) = RedisServer::start() else { return };
    let queue = RedisQueue::open(&server.url(), "idle", Endings::Keep).await.expect("answers");
    let queues = [QueueName::default()];
    let me = worker_of(&queue, &queues).await.id;
    let wait = || queue.wait_and_claim(me, &queues, 5, Duration::from_secs(20));
    // The first claim brings the script to the server.
    assert_eq!(queue.claim(me, &queues, 5).await.expect("claims").jobs.len(), 0);
    let (answer, pushed) = tokio::join!(wait(), async { queue.push(&[plain()]).await });
    pushed.expect("pushes");
    assert_eq!(answer.expect("waits").expect("in one exchange").jobs.len(), 1);
    let client = redis::Client::open(server.url()).expect("a valid address");
    let mut other = client.get_multiplexed_async_connection().await.expect("it answers");
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut other).await.expect("forgets all scripts");
    let (answer, pushed) = tokio::join!(wait(), async { queue.push(&[plain()]).await });
    pushed.expect("pushes");
    assert!(answer.expect("waits").is_none(), "the server does not know the claim");
    assert_eq!(queue.claim(me, &queues, 5).await.expect("claims").jobs.len(), 1);
}

#[tokio::test]
async fn a_wait_on_a_server_with_nothing_to_do_ends_in_time() {
    let Some(server) = RedisServer::start() else { return };
    let queue = RedisQueue::open(&server.url(), "idle", Endings::Keep).await.expect("answers");
    let mut late = Vec::new();
    for n in 0..21 {
        let (start, wait) = (Instant::now(), Duration::from_millis(130 + 7 * n));
        queue.wait(&[QueueName::default()], wait).await.expect("waits");
        late.push(start.elapsed().saturating_sub(wait));
    }
    late.sort_unstable();
    // Left to itself the server looks at its clock ten times a second.
    assert!(late[10] < Duration::from_millis(20), "{late:?}");
}
