//! Batches: opened, sealed, cancelled, looked at.

use super::ids::Packed;
use super::scripts;
use super::shapes::{PLAIN, push_options};
use super::store::RedisQueue;
use crate::id::{BatchId, QueueName};
use crate::queue::{Batch, BatchCancelled, BatchInfo, BatchTotals, Opened, Result, Sealed};

/// The most batches that one script call reads.
const BATCHES: usize = 500;

/// Batch, when it was opened, closing job, sealed, cancelled; members, of them succeeded, dead, cancelled.
type Row = (String, i64, Vec<u8>, bool, bool, u64, u64, u64, u64);

impl RedisQueue {
    pub(super) async fn open_one(&self, batch: &Batch) -> Result<Opened> {
        let (queue, then) = (batch.queue(), batch.then());
        self.register_queue(queue).await?;
        let options = push_options(then);
        let (due, side) = options.split_once(':').unwrap_or(("", PLAIN));
        let (due, limits) = due.split_once(';').unwrap_or((due, ""));
        let (id, payload) = (batch.id().to_string(), then.encode());
        let then = [&*Packed::of(then.id), &payload[..], due.as_bytes(), side.as_bytes(), limits.as_bytes()];
        let arguments = std::iter::once(id.as_bytes()).chain(then);
        Ok(match self.connection.call::<i64>(&scripts::open_batch, queue, arguments).await? {
            0 => Opened::Created,
            1 => Opened::Already,
            2.. => Opened::Closed,
            other => return Err(self.connection.unreadable(format!("{other} from the opening of a batch"))),
        })
    }

    pub(super) async fn seal(&self, queue: &QueueName, id: BatchId) -> Result<Sealed> {
        let left: i64 = self.connection.call(&scripts::seal_batch, queue, [id.to_string()]).await?;
        Ok(match u64::try_from(left) {
            Err(_) => Sealed::Unknown,
            Ok(0) => Sealed::Closed,
            Ok(left) => Sealed::Waiting { left },
        })
    }

    pub(super) async fn cancel_members(&self, id: BatchId) -> Result<Option<BatchCancelled>> {
        for queue in self.queue_names().await? {
            let (mut cursor, mut done) = ("0".to_owned(), None);
            loop {
                let arguments = [id.to_string(), cursor];
                let part: Option<(String, u64, u64)> =
                    self.connection.call(&scripts::cancel_batch, &queue, arguments).await?;
                // It may have closed between two parts.
                let Some((next, ended, asked)) = part else { break };
                let sum: &mut BatchCancelled = done.get_or_insert_default();
                sum.ended += ended;
                sum.asked += asked;
                cursor = next;
                if cursor == "0" {
                    break;
                }
            }
            if done.is_some() {
                return Ok(done);
            }
        }
        Ok(None)
    }

    pub(super) async fn find_batch(&self, id: BatchId) -> Result<Option<BatchInfo>> {
        for queue in self.queue_names().await? {
            if let Some(info) = self.read_batches(&queue, [id.to_string(), String::new(), "1".to_owned()]).await?.pop()
            {
                return Ok(Some(info));
            }
        }
        Ok(None)
    }

    pub(super) async fn list_batches(
        &self,
        queue: &QueueName,
        after: Option<BatchId>,
        size: usize,
    ) -> Result<Vec<BatchInfo>> {
        let (mut infos, mut after) = (Vec::new(), after);
        while infos.len() < size {
            let wanted = (size - infos.len()).min(BATCHES);
            let behind = after.map(|after| after.to_string()).unwrap_or_default();
            let part = self.read_batches(queue, [String::new(), behind, wanted.to_string()]).await?;
            after = part.last().map(|info| info.id);
            let last = part.len() < wanted;
            infos.extend(part);
            if last {
                break;
            }
        }
        Ok(infos)
    }

    /// Reads one batch, or those behind another.
    async fn read_batches(&self, queue: &QueueName, arguments: [String; 3]) -> Result<Vec<BatchInfo>> {
        let rows: Vec<Row> = self.connection.call(&scripts::batches_of, queue, arguments).await?;
        rows.into_iter().map(|row| self.read_batch(queue, row)).collect()
    }

    fn read_batch(&self, queue: &QueueName, row: Row) -> Result<BatchInfo> {
        let (id, opened_at_ms, then, sealed, cancelled, total, succeeded, dead, cancelled_jobs) = row;
        Ok(BatchInfo {
            id: id.parse().map_err(|_| self.connection.unreadable(format!("batch {id:?}")))?,
            queue: queue.clone(),
            opened_at_ms,
            sealed,
            cancelled,
            totals: BatchTotals { total, succeeded, dead, cancelled: cancelled_jobs },
            then: self.read_id(&then)?,
        })
    }
}
