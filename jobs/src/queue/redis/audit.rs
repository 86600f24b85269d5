//! The audit of a queue on Redis: which parts are read in which order, and when a suspicion is worth its proof.
//!
//! Whether an id is in a hash or a sorted set is asked in O(1), and `lua/audit.lua` proves and repairs such things part by part. A
//! list cannot be asked. So the jobs that are in no other place are called up, then the lists are read, and who did not answer is
//! looked for in the lists, in one instant, if there are few of them or if the sizes say that somebody is missing.

use std::collections::BTreeSet;
use std::time::Instant;

use super::ids::Packed;
use super::scripts;
use super::shapes::Argument;
use super::store::RedisQueue;
use crate::id::{JobId, QueueName};
use crate::queue::audit::{Findings, Roll};
use crate::queue::{Audit, Drift, DriftKind, Result};

/// What is read in parts, each entry of which shows by itself whether it is right. `lua/audit.lua` says how.
const PARTS: [&str; 19] = [
    "running",
    "due",
    "dead",
    "past",
    "back:0",
    "back:1",
    "back:2",
    "back:3",
    "limited:0",
    "limited:1",
    "limited:2",
    "limited:3",
    "grouped",
    "unique",
    "history",
    "told",
    "cancel",
    "winfo",
    "place",
];

const READY: [&str; 4] = ["ready:0", "ready:1", "ready:2", "ready:3"];

/// With more ready jobs than this they are called up only if the sizes do not add up; the roll keeps about 40 bytes for each.
const LONGEST_ROLL: usize = 1_000_000;

/// More suspects than this are the traffic of a busy queue, unless the sizes do not add up.
const FEW: usize = 100;

/// How many suspects one call proves.
const SUSPECTS: usize = 50;

/// Where a part ended, how many entries it had, ids, what was found.
type Part = (String, i64, Vec<Vec<u8>>, Vec<Vec<u8>>);

struct Auditor<'a> {
    store: &'a RedisQueue,
    queue: &'a QueueName,
    repair: bool,
    findings: Findings,
}

impl RedisQueue {
    pub(super) async fn audit_queue(&self, queue: &QueueName, repair: bool) -> Result<Audit> {
        let mut auditor = Auditor { store: self, queue, repair, findings: Findings::default() };
        auditor.run().await?;
        Ok(auditor.findings.done())
    }
}

impl Auditor<'_> {
    async fn run(&mut self) -> Result<()> {
        for look in PARTS {
            self.read(look, |_, _| {}).await?;
        }
        let mut batches = BTreeSet::new();
        self.read("batches", |_, part| {
            batches.extend(part.2.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
        })
        .await?;
        for batch in batches {
            self.read(&format!("left:{batch}"), |_, _| {}).await?;
            self.read(&format!("batch:{batch}"), |_, _| {}).await?;
        }
        let mut roll = Roll::default();
        let mut called = 0;
        let unbalanced = self.look("balance", "", &[]).await?.1 != 0;
        self.read("jobs", |findings, part| {
            findings.checked += part.1.max(0) as u64;
            called += part.2.len();
            if called <= LONGEST_ROLL || unbalanced {
                part.2.iter().filter_map(|id| Packed::read(id)).for_each(|id| roll.expect(id));
            }
        })
        .await?;
        let called_all = called <= LONGEST_ROLL || unbalanced;
        for look in READY {
            self.read(look, |_, part| {
                part.2.iter().filter_map(|id| Packed::read(id)).for_each(|id| roll.meet(id));
            })
            .await?;
        }
        if !called_all {
            return Ok(());
        }
        let (missing, twice) = roll.suspects();
        self.prove("missing", &missing).await?;
        self.prove("twice", &twice).await
    }

    /// Reads a structure part by part.
    async fn read(&mut self, look: &str, mut see: impl FnMut(&mut Findings, &Part)) -> Result<()> {
        let mut cursor = String::new();
        while !self.findings.is_full() {
            let started = Instant::now();
            let part = self.look(look, &cursor, &[]).await?;
            see(&mut self.findings, &part);
            cursor = part.0;
            if cursor.is_empty() {
                break;
            }
            // Half of the server's time is for everybody else, whatever the queue holds.
            tokio::time::sleep(started.elapsed()).await;
        }
        Ok(())
    }

    async fn prove(&mut self, look: &str, suspects: &[JobId]) -> Result<()> {
        if suspects.len() > FEW && self.look("balance", "", &[]).await?.1 == 0 {
            return Ok(());
        }
        let mut left = suspects;
        while !left.is_empty() && !self.findings.is_full() {
            let some = &left[..left.len().min(SUSPECTS)];
            let started = Instant::now();
            let (reached, ..) = self.look(look, "", some).await?;
            left = &left[reached.parse::<usize>().unwrap_or(some.len()).max(1)..];
            tokio::time::sleep(started.elapsed()).await;
        }
        Ok(())
    }

    async fn look(&mut self, look: &str, cursor: &str, suspects: &[JobId]) -> Result<Part> {
        let fixed = [look.as_bytes(), cursor.as_bytes(), if self.repair { b"1" } else { b"" }];
        let arguments =
            fixed.map(Argument::from).into_iter().chain(suspects.iter().map(|id| Argument::Id(Packed::of(*id))));
        let part: Part = self.store.connection.call(&scripts::audit, self.queue, arguments).await?;
        for found in part.3.chunks_exact(3) {
            let kind = DriftKind::from_name(&String::from_utf8_lossy(&found[0]))
                .ok_or_else(|| self.store.connection.unreadable("a kind of drift"))?;
            let what = String::from_utf8_lossy(&found[2]).into_owned();
            self.findings.add(Drift { kind, id: Packed::read(&found[1]), what, repaired: self.repair });
        }
        Ok(part)
    }
}
