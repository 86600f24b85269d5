//! What the same server does with the same bytes in three small scripts: a queue that keeps no promise but order.
//!
//! Nothing that is a queue can be faster by much, so ours is told as a part of it. Batches and calls at a time are those of the
//! measures beside it.

use std::sync::LazyLock;

use deskhand_jobs::JobId;
use redis::Script;
use redis::aio::ConnectionManager;
use tokio::task::JoinSet;

use super::job::{envelope, plain};
use super::plan::{BATCH, CALLS_AT_ONCE};
use super::server::Server;
use crate::base::{Error, Result};

static PUSH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("bare/push.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("bare/claim.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("bare/settle.lua")));

/// Ids with their payloads, as the scripts take them.
pub(super) type Pairs = Vec<(JobId, Vec<u8>)>;

/// Two keys of the server, and how to work on them.
#[derive(Clone)]
pub(super) struct Bare {
    connection: ConnectionManager,
    list: String,
    hash: String,
}

impl Bare {
    pub(super) fn on(server: &Server) -> Result<Self> {
        Ok(Self { connection: server.connection()?, list: server.key("list"), hash: server.key("hash") })
    }

    /// Makes the payloads that plain jobs have, in batches.
    pub(super) fn batches(jobs: usize, payload_bytes: usize) -> Result<Vec<Pairs>> {
        let payload = envelope(payload_bytes, None, plain())?.encode();
        let pair = |_| (JobId::new(), payload.clone());
        Ok((0..jobs).step_by(BATCH).map(|first| (first..jobs.min(first + BATCH)).map(pair).collect()).collect())
    }

    /// Pushes batches, so many calls at a time.
    pub(super) async fn push(&self, batches: Vec<Pairs>) -> Result<()> {
        let mut shares: [Vec<Pairs>; CALLS_AT_ONCE] = Default::default();
        for (number, batch) in batches.into_iter().enumerate() {
            shares[number % CALLS_AT_ONCE].push(batch);
        }
        let mut callers: JoinSet<Result<_>> = JoinSet::new();
        for share in shares {
            let mut bare = self.clone();
            callers.spawn(async move {
                for batch in &share {
                    let mut call = PUSH.key(&bare.list);
                    call.key(&bare.hash);
                    for (id, payload) in batch {
                        call.arg(id.as_bytes().as_slice()).arg(payload);
                    }
                    call.invoke_async::<i64>(&mut bare.connection).await.map_err(failed)?;
                }
                Ok((share, 0))
            });
        }
        together(callers).await.map(drop)
    }

    /// Takes everything out in batches, so many of them at a time.
    pub(super) async fn drain(&self, jobs: usize) -> Result<()> {
        let mut callers: JoinSet<Result<_>> = JoinSet::new();
        for _ in 0..CALLS_AT_ONCE {
            let mut bare = self.clone();
            callers.spawn(async move {
                let mut settled = 0;
                loop {
                    let mut call = CLAIM.key(&bare.list);
                    call.key(&bare.hash).arg(BATCH);
                    let (ids, _payloads): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
                        call.invoke_async(&mut bare.connection).await.map_err(failed)?;
                    if ids.is_empty() {
                        return Ok((Vec::<Pairs>::new(), settled));
                    }
                    let mut call = SETTLE.key(&bare.hash);
                    for id in &ids {
                        call.arg(id.as_slice());
                    }
                    settled += call.invoke_async::<usize>(&mut bare.connection).await.map_err(failed)?;
                }
            });
        }
        let settled = together(callers).await?;
        if settled != jobs {
            let what = format!("of {jobs} payloads {settled} came out of the bare server");
            return Err(Error::internal("the measure does not hold", what));
        }
        Ok(())
    }

    /// Does nothing with the server, one time after another.
    pub(super) async fn ping(&self, times: usize) -> Result<()> {
        let mut connection = self.connection.clone();
        for _ in 0..times {
            redis::cmd("PING").exec_async(&mut connection).await.map_err(failed)?;
        }
        Ok(())
    }
}

/// Waits for all callers; returns the sum of what they count.
async fn together<T: 'static>(mut callers: JoinSet<Result<(T, usize)>>) -> Result<usize> {
    let mut sum = 0;
    while let Some(caller) = callers.join_next().await {
        let (_kept, count) = caller.map_err(|error| Error::internal("a call of the measures broke", error))??;
        sum += count;
    }
    Ok(sum)
}

fn failed(error: redis::RedisError) -> Error {
    Error::unavailable("the bare server", error)
}
