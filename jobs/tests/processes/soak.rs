//! A steady load for minutes, with faults all the time: nothing is lost, nothing runs twice without a reason, and the store does
//! not grow.
//!
//! `make soak`; `SOAK_MINUTES` says how long (3 if it is not set, 240 at most), `SOAK_SEED` which faults come.

use std::time::{Duration, Instant};

use deskhand_jobs::{Envelope, Priority, QueueName, Unique, UniqueUntil};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::crew::{Crew, on_server, on_sqlite};
use super::worker_process::{Mark, Place};
use crate::faults::server::RedisServer;

const HANDS: usize = 4;
const CONCURRENCY: usize = 16;

/// The load: so many jobs each time.
const PUSH_EVERY: Duration = Duration::from_millis(100);
const JOBS: u32 = 25;

/// How long the load lasts before everything is drained and the store is measured.
const ROUND: Duration = Duration::from_secs(30);
const FAULT_EVERY: Duration = Duration::from_secs(4);

/// Past the lease, so that the jobs are taken back.
const FROZEN: Duration = Duration::from_secs(14);

/// How much larger an idle store may be after all rounds than after the first.
const GROWTH_BYTES: u64 = 2 * 1024 * 1024;

fn minutes() -> u64 {
    let given = std::env::var("SOAK_MINUTES").ok();
    given.map_or(3, |text| text.parse().expect("SOAK_MINUTES is a number")).clamp(1, 240)
}

fn seed() -> u64 {
    let given = std::env::var("SOAK_SEED").ok();
    given.map_or_else(rand::random, |text| text.parse().expect("SOAK_SEED is a number"))
}

fn mixed(n: u32) -> Envelope {
    let mark = Mark { n, takes_ms: u64::from(n % 20), fails: u32::from(n.is_multiple_of(10)), text: String::new() };
    let mut job = mark.envelope();
    job.options.priority = Priority::ALL[n as usize % 4];
    if n.is_multiple_of(7) {
        job.options.unique = Some(Unique::new(format!("key {n}"), UniqueUntil::Finished));
    }
    job
}

/// What an idle store takes: bytes that may not grow, and for Redis how many keys there are.
async fn size(crew: &Crew, server: Option<&RedisServer>) -> (u64, u64) {
    match (crew.place(), server) {
        (Place::Redis { .. }, Some(server)) => {
            let info: redis::InfoDict = server.ask(&["INFO", "memory"]).await;
            let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "*"]).await;
            (info.get("used_memory").expect("it says so"), keys.len() as u64)
        }
        (Place::Redis { .. }, None) => unreachable!("a crew on a server has one"),
        (Place::Sqlite { path }, _) => {
            let bytes = |path: &std::path::Path| path.metadata().map_or(0, |file| file.len());
            (bytes(path) + bytes(&path.with_extension("db-wal")), 0)
        }
    }
}

/// Whom a fault has hit, until it is over.
struct Soak<'a> {
    crew: Crew,
    server: Option<&'a RedisServer>,
    chance: StdRng,
    active: Vec<(usize, String)>,
    frozen: Vec<(usize, Instant)>,
    faults: u32,
}

impl Soak<'_> {
    async fn fault(&mut self) {
        self.faults += 1;
        let kinds = if self.server.is_some() { 5 } else { 3 };
        let (hand, name) = self.active.remove(self.chance.random_range(0..self.active.len()));
        match self.chance.random_range(0..kinds) {
            0 => self.crew.kill(hand),
            1 => {
                self.crew.freeze(hand);
                self.frozen.push((hand, Instant::now()));
            }
            2 => drop(self.crew.dismiss(hand).await),
            kind => {
                self.active.push((hand, name));
                let Some(server) = self.server else { return };
                if kind == 3 {
                    server.say(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
                } else {
                    server.freeze(true);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    server.freeze(false);
                }
                return;
            }
        }
        let successor = self.crew.spawn(&name, CONCURRENCY);
        self.active.push((successor, name));
    }

    async fn thaw(&mut self, all: bool) {
        for (hand, since) in std::mem::take(&mut self.frozen) {
            if all {
                tokio::time::sleep(FROZEN.saturating_sub(since.elapsed())).await;
            }
            if since.elapsed() >= FROZEN {
                self.crew.thaw(hand);
                self.crew.dismiss(hand).await;
            } else {
                self.frozen.push((hand, since));
            }
        }
    }

    /// Works under load for a while, then drains everything; returns the size of the idle store.
    async fn round(&mut self) -> (u64, u64) {
        let end = Instant::now() + ROUND;
        let mut next_fault = Instant::now() + FAULT_EVERY;
        while Instant::now() < end {
            let from = self.crew.number();
            self.crew.push_all((from..from + JOBS).map(mixed).collect()).await;
            self.crew.collect().await;
            if Instant::now() >= next_fault {
                next_fault = Instant::now() + FAULT_EVERY;
                self.fault().await;
                if let Ok(audit) = self.crew.queue.audit(&QueueName::default(), false).await {
                    assert_eq!(audit.drift, []);
                }
            }
            self.thaw(false).await;
            tokio::time::sleep(PUSH_EVERY).await;
        }
        self.thaw(true).await;
        self.crew.until_done().await;
        size(&self.crew, self.server).await
    }
}

async fn soak(crew: Crew, server: Option<&RedisServer>, seed: u64) {
    let chance = StdRng::seed_from_u64(seed);
    let mut soak = Soak { crew, server, chance, active: Vec::new(), frozen: Vec::new(), faults: 0 };
    for hand in 0..HANDS {
        let name = format!("hand {hand}");
        soak.active.push((soak.crew.hire(&name, CONCURRENCY).await, name));
    }
    let end = Instant::now() + Duration::from_mins(minutes());
    let mut sizes = vec![soak.round().await];
    while Instant::now() < end || sizes.len() < 2 {
        sizes.push(soak.round().await);
        println!("seed {seed}: {} jobs, {} faults, bytes and keys at rest {sizes:?}", soak.crew.number(), soak.faults);
    }
    soak.crew.account().await;
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(last.0 <= first.0 + GROWTH_BYTES, "the store grows: {sizes:?}");
    assert!(last.1 <= first.1 + 2, "keys are left behind: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of work: make soak"]
async fn soak_of_a_steady_load_with_random_faults() {
    let seed = seed();
    let on_redis = async {
        let Some(server) = RedisServer::start_with(&["--appendfsync", "everysec"]) else { return };
        soak(on_server(&server).await, Some(&server), seed).await;
    };
    let on_sqlite = async { soak(on_sqlite().await, None, seed).await };
    tokio::join!(on_redis, on_sqlite);
}
