//! The port over memory.

use std::time::Duration;

use async_trait::async_trait;

use super::memory::{MemoryQueue, World};
use crate::id::{BatchId, GroupKey, JobId, QueueName, WorkerId};
use crate::job::Envelope;
use crate::options::{Limits, OnConflict};
use crate::queue::{
    Audit, Batch, BatchCancelled, BatchInfo, Beat, Cancelled, Claim, DeadFilter, DeadGroup, DeadStep, Ending,
    GroupInfo, Health, JobRecord, LEASE, Late, Listing, Moved, Opened, Pace, Page, Pushed, Queue, QueueInfo,
    REMOVED_PER_BEAT, Report, Result, Sealed, Settled, Settlement, State, WorkerInfo,
};

impl World {
    fn push(&mut self, job: &Envelope) -> Pushed {
        if self.rows.contains_key(&job.id) {
            return Pushed::Duplicate;
        }
        // A queue is known from the first push on, whatever becomes of the job.
        self.totals(&job.options.queue);
        if let Some(refusal) = self.refusal(job) {
            return Pushed::Refused(refusal);
        }
        let unique = job.options.unique.as_ref();
        let Some(holder) = self.hold(job.id, &job.options.queue, unique) else {
            self.insert(job);
            self.join_batch(job);
            return Pushed::Created;
        };
        let wants = unique.is_some_and(|unique| unique.on_conflict == OnConflict::Replace);
        let Some(row) = self.rows.get_mut(&holder).filter(|row| wants && row.state != State::Running) else {
            return Pushed::Conflict { holder };
        };
        row.history.last_error = Some(format!("replaced by job {}", job.id));
        self.end(holder, State::Cancelled);
        self.hold(job.id, &job.options.queue, unique);
        self.insert(job);
        self.join_batch(job);
        Pushed::Replaced { old: holder }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, jobs: &[Envelope]) -> Result<Vec<Pushed>> {
        let mut world = self.world();
        let answers = jobs.iter().map(|job| world.push(job)).collect();
        self.bell.notify_one();
        Ok(answers)
    }

    async fn beat(&self, worker: &WorkerInfo, register: bool) -> Result<Beat> {
        let mut world = self.world();
        let lost = !register && !world.is_alive(worker.id);
        if !lost {
            let expires_ms = world.now_ms + LEASE.as_millis() as i64;
            world.workers.insert(worker.id, (worker.clone(), expires_ms));
            for queue in &worker.queues {
                world.totals(queue);
            }
        }
        let rescued = world.rescue(&worker.queues);
        if !lost {
            for queue in &worker.queues {
                world.tidy(queue, REMOVED_PER_BEAT);
            }
        }
        let others = world.workers.iter().filter(|(id, _)| **id != worker.id && world.is_alive(**id));
        let first_ms = others.map(|(_, (_, expires_ms))| (expires_ms - world.now_ms) as u64).min();
        let next_expiry_ms = first_ms.filter(|_| !lost);
        self.bell.notify_one();
        Ok(Beat { lost, rescued, next_expiry_ms, ..Beat::default() })
    }

    async fn stops(&self, worker: WorkerId, _: &[QueueName]) -> Result<Vec<JobId>> {
        let world = self.world();
        let asked = |(_, row): &(&JobId, &super::memory::Row)| {
            row.asked_to_stop && row.running.is_some_and(|(owner, _)| owner == worker)
        };
        Ok(world.rows.iter().filter(asked).map(|(id, _)| *id).collect())
    }

    async fn claim(&self, worker: WorkerId, queues: &[QueueName], limit: usize) -> Result<Claim> {
        let mut world = self.world();
        if !world.is_alive(worker) {
            return Ok(Claim { lost: true, ..Claim::default() });
        }
        let (mut jobs, mut late) = (Vec::new(), Vec::new());
        for queue in queues {
            if !world.totals(queue).paused {
                let wanted = limit - jobs.len();
                let ms = if wanted > 0 { world.promote(queue) } else { Vec::new() };
                if !ms.is_empty() {
                    late.push(Late { queue: queue.clone(), ms });
                }
                jobs.extend(world.claim(worker, queue, wanted));
            }
        }
        Ok(Claim { jobs, late, next_due_ms: world.next_due_ms(queues), ..Claim::default() })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>> {
        let mut world = self.world();
        let answers = settlements.iter().map(|settlement| world.settle(settlement)).collect();
        self.bell.notify_one();
        Ok(answers)
    }

    async fn report(&self, reports: &[Report]) -> Result<Vec<Settled>> {
        let mut world = self.world();
        let hear = |report: &Report| world.rows.get_mut(&report.id).map_or(Settled::Stale, |row| row.hear(report));
        Ok(reports.iter().map(hear).collect())
    }

    async fn leave(&self, worker: WorkerId, queues: &[QueueName]) -> Result<()> {
        let mut world = self.world();
        for queue in queues {
            world.take_back(worker, queue, &[], |history| history.hand_backs += 1);
        }
        world.workers.remove(&worker);
        self.bell.notify_one();
        Ok(())
    }

    async fn hand_back_others(&self, worker: WorkerId, queues: &[QueueName], known: &[JobId]) -> Result<()> {
        let mut world = self.world();
        for queue in queues {
            world.take_back(worker, queue, known, |history| history.hand_backs += 1);
        }
        self.bell.notify_one();
        Ok(())
    }

    async fn wait(&self, queues: &[QueueName], max_wait: Duration) -> Result<()> {
        let waited = async {
            loop {
                let rung = self.bell.notified();
                let next_due_ms = {
                    let world = self.world();
                    if world.has_work(queues) {
                        return;
                    }
                    world.next_due_ms(queues)
                };
                let due = Duration::from_millis(next_due_ms.unwrap_or(86_400_000));
                drop(tokio::time::timeout(due, rung).await);
            }
        };
        // A wait that is over by itself is an answer too.
        drop(tokio::time::timeout(max_wait, waited).await);
        Ok(())
    }

    async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        let mut world = self.world();
        let Some(row) = world.rows.get_mut(&id) else { return Ok(Cancelled::Unknown) };
        Ok(match row.state {
            State::Running => {
                row.asked_to_stop = true;
                Cancelled::Asked
            }
            State::Ready | State::Scheduled => {
                world.end(id, State::Cancelled);
                // It may have been the last member of a batch.
                self.bell.notify_one();
                Cancelled::Ended
            }
            State::Succeeded | State::Dead | State::Cancelled => Cancelled::AlreadyEnded,
        })
    }

    async fn retry_now(&self, id: JobId) -> Result<bool> {
        let mut world = self.world();
        let scheduled = world.rows.get(&id).is_some_and(|row| row.state == State::Scheduled);
        if scheduled {
            world.ready(id, false);
            self.bell.notify_one();
        }
        Ok(scheduled)
    }

    async fn redrive_paced(&self, ids: &[JobId], pace: Pace) -> Result<Vec<JobId>> {
        let mut world = self.world();
        let mut moved = Vec::new();
        for id in ids {
            if world.revive(*id, pace.delay_ms(moved.len())) {
                moved.push(*id);
            }
        }
        self.bell.notify_one();
        Ok(moved)
    }

    async fn redrive_step(&self, step: &DeadStep, pace: Pace) -> Result<Moved> {
        let mut world = self.world();
        let (ids, next) = world.walk(step)?;
        for (n, id) in ids.iter().enumerate() {
            world.revive(*id, pace.delay_ms(n));
        }
        self.bell.notify_one();
        Ok(Moved { ids, next })
    }

    async fn discard(&self, ids: &[JobId], reason: &str) -> Result<Vec<JobId>> {
        let mut world = self.world();
        Ok(ids.iter().copied().filter(|id| world.give_up(*id, reason)).collect())
    }

    async fn discard_step(&self, step: &DeadStep, reason: &str) -> Result<Moved> {
        let mut world = self.world();
        let (ids, next) = world.walk(step)?;
        for id in &ids {
            world.give_up(*id, reason);
        }
        Ok(Moved { ids, next })
    }

    async fn swap_payload(&self, _: &QueueName, id: JobId, old: &[u8], new: &[u8]) -> Result<bool> {
        Ok(self.world().swap(id, old, new))
    }

    async fn dead(&self, filter: &DeadFilter, page: Page) -> Result<Listing> {
        self.world().list_dead(filter, &page)
    }

    async fn dead_groups(&self, queue: &QueueName) -> Result<Vec<DeadGroup>> {
        Ok(self.world().dead_groups(queue))
    }

    async fn pause(&self, queue: &QueueName) -> Result<()> {
        self.world().totals(queue).paused = true;
        Ok(())
    }

    async fn resume(&self, queue: &QueueName) -> Result<()> {
        self.world().totals(queue).paused = false;
        self.bell.notify_one();
        Ok(())
    }

    async fn limit(&self, queue: &QueueName, concurrency: Option<u32>) -> Result<()> {
        self.world().totals(queue).concurrency = concurrency.map(|jobs| jobs.max(1));
        self.bell.notify_one();
        Ok(())
    }

    async fn limit_group(&self, queue: &QueueName, group: &GroupKey, limits: Option<Limits>) -> Result<()> {
        self.world().pin(queue, group, limits);
        self.bell.notify_one();
        Ok(())
    }

    async fn groups(&self, queue: &QueueName, after: Option<&GroupKey>, limit: usize) -> Result<Vec<GroupInfo>> {
        let groups = self.world().group_infos(queue);
        Ok(groups.into_iter().filter(|group| after.is_none_or(|after| group.key > *after)).take(limit).collect())
    }

    async fn group(&self, queue: &QueueName, group: &GroupKey) -> Result<Option<GroupInfo>> {
        Ok(self.world().group_infos(queue).into_iter().find(|info| info.key == *group))
    }

    async fn job(&self, id: JobId) -> Result<Option<JobRecord>> {
        Ok(self.world().rows.get(&id).map(|row| row.record(id)))
    }

    async fn list(&self, queue: &QueueName, state: State, page: Page) -> Result<Listing> {
        self.world().list(queue, state, &page)
    }

    async fn known(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let world = self.world();
        Ok(ids.iter().copied().filter(|id| world.rows.contains_key(id)).collect())
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let world = self.world();
        Ok(world.queues.iter().map(|(name, totals)| world.info(name, totals)).collect())
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let world = self.world();
        let alive = world.workers.iter().filter(|(id, _)| world.is_alive(**id));
        Ok(alive.map(|(_, (info, _))| info.clone()).collect())
    }

    async fn endings(&self, limit: usize) -> Result<Vec<Ending>> {
        let world = self.world();
        let ending = world.rows.iter().filter(|(_, row)| row.ending).map(|(id, row)| Ending {
            id: *id,
            queue: row.queue.clone(),
            state: row.state,
            dead_reason: row.dead_reason,
            history: row.history.clone(),
            result: row.result.clone(),
            progress: row.told.progress,
            log: row.told.log.clone(),
            running: row.running,
            ended_at_ms: row.ended_at_ms,
        });
        Ok(ending.take(limit).collect())
    }

    async fn forget_endings(&self, endings: &[Ending]) -> Result<()> {
        let mut world = self.world();
        for ending in endings {
            let same = |row: &super::memory::Row| row.ending && row.ended_at_ms == ending.ended_at_ms;
            match world.rows.get_mut(&ending.id).filter(|row| same(row)) {
                Some(row) if row.state == State::Dead => row.ending = false,
                Some(_) => drop(world.rows.remove(&ending.id)),
                None => {}
            }
        }
        Ok(())
    }

    async fn audit(&self, queue: &QueueName, repair: bool) -> Result<Audit> {
        Ok(self.world().audit(queue, repair))
    }

    async fn open_batch(&self, batch: &Batch) -> Result<Opened> {
        Ok(self.world().open_batch(batch))
    }

    async fn seal_batch(&self, queue: &QueueName, id: BatchId) -> Result<Sealed> {
        let answer = self.world().seal_batch(queue, id);
        self.bell.notify_one();
        Ok(answer)
    }

    async fn cancel_batch(&self, id: BatchId) -> Result<Option<BatchCancelled>> {
        let answer = self.world().cancel_batch(id);
        self.bell.notify_one();
        Ok(answer)
    }

    async fn batch(&self, id: BatchId) -> Result<Option<BatchInfo>> {
        Ok(self.world().batch_infos(|info| info.id == id).pop())
    }

    async fn batches(&self, queue: &QueueName, after: Option<BatchId>, size: usize) -> Result<Vec<BatchInfo>> {
        let mut infos =
            self.world().batch_infos(|info| info.queue == *queue && after.is_none_or(|after| info.id > after));
        infos.truncate(size);
        Ok(infos)
    }

    async fn check(&self) -> Result<Health> {
        Ok(Health { version: "memory".to_owned(), durability: "none: for tests".to_owned() })
    }
}
