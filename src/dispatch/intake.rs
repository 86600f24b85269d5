//! The intake: requests for single jobs that are under way at the same time are written and committed together.
//!
//! A commit is durable when the disk says so, which takes as long for one job as for a hundred. Each request gets an answer of its own,
//! and none before its commit.

use serde_json::json;

use super::entry::Entry;
use super::ledger;
use super::lines::{self, Idempotency, Line};
use super::outbox::announce;
use super::service::Enqueued;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result, Together};
use crate::db::{Db, Tx};

/// The most jobs of one commit: more would make all of them wait for the last.
const MOST: usize = 256;

/// A job that somebody wants to be written.
#[derive(Debug)]
pub(super) struct Ask {
    /// Who.
    pub(super) actor: Actor,
    /// What.
    pub(super) line: Line,
}

/// Takes jobs; clones take them together.
pub(super) type Intake = Together<Ask, Result<Enqueued>>;

/// Opens the intake of a database.
pub(super) fn intake(db: Db) -> Intake {
    Together::new(MOST, move |asks| {
        let db = db.clone();
        async move { take(&db, asks).await }
    })
}

async fn take(db: &Db, asks: Vec<Ask>) -> Vec<Result<Enqueued>> {
    match together(db, &asks).await {
        Ok(answers) => answers,
        // What one of them brought must not harm the others.
        Err(error) if asks.len() > 1 && !error.is_transient() => {
            let mut answers = Vec::with_capacity(asks.len());
            for ask in &asks {
                let alone = together(db, std::slice::from_ref(ask)).await;
                answers.push(alone.and_then(|mut answers| answers.pop().unwrap_or_else(|| Err(lost()))));
            }
            answers
        }
        Err(error) => {
            let mut answers: Vec<_> = asks.iter().skip(1).map(|_| Err(error.again())).collect();
            answers.push(Err(error));
            answers
        }
    }
}

fn lost() -> Error {
    Error::internal("a job was neither taken nor refused", "the intake")
}

/// Writes all in one transaction; what is refused leaves no trace in it.
async fn together(db: &Db, asks: &[Ask]) -> Result<Vec<Result<Enqueued>>> {
    let mut tx = db.begin().await?;
    let mut lines: Vec<&Line> = asks.iter().map(|ask| &ask.line).collect();
    // Of two processes that write the same keys at once, one waits for the other.
    lines.sort_by_key(|line| (line.tenant.as_str(), line.idempotency.as_ref().map(|given| given.key.as_str())));
    let all_new = lines::insert(&mut tx, &lines).await? == lines.len() as u64;
    let mut answers = Vec::with_capacity(asks.len());
    let mut events = Vec::with_capacity(asks.len());
    for Ask { actor, line } in asks {
        let answer = match &line.idempotency {
            Some(idempotency) if !all_new => found(&mut tx, line, idempotency).await?,
            _ => Ok(Enqueued { entry: Entry::waiting(line, tx.now()), created: true }),
        };
        if let Ok(Enqueued { entry, created: true }) = &answer {
            let asked = json!({"kind": entry.kind, "queue": entry.options.queue, "run_at": entry.run_at});
            events.push((actor, Event::new("job.enqueue", "job", &entry.id).after(&asked)));
        }
        answers.push(answer);
    }
    if !events.is_empty() {
        announce(&mut tx).await?;
        tx.record_many(events).await?;
    }
    tx.commit().await?;
    Ok(answers)
}

/// Reads the job of an idempotency key, which may be this one or that of an earlier request.
async fn found(tx: &mut Tx, line: &Line, Idempotency { key, hash }: &Idempotency) -> Result<Result<Enqueued>> {
    let entry = ledger::by_idempotency_key(tx, &line.tenant, key).await?;
    let entry = entry.ok_or_else(|| Error::not_found("job", &line.job.id))?;
    let created = entry.id == line.job.id;
    if !created && ledger::idempotency_hash(tx, entry.id).await?.as_ref() != Some(hash) {
        let message = format!(
            "the idempotency key {key:?} belongs to job {}, which was asked for differently: use another key",
            entry.id
        );
        return Ok(Err(Error::conflict("idempotency_key_reused", message)));
    }
    Ok(Ok(Enqueued { entry, created }))
}
