//! The audit of the queue in memory.

use super::memory::{Row, World};
use crate::id::{JobId, QueueName};
use crate::queue::{Audit, Drift, DriftKind, State, WorkerInfo};

impl World {
    /// Finds and repairs what cannot be.
    pub(super) fn audit(&mut self, queue: &QueueName, repair: bool) -> Audit {
        let mut drift = Vec::new();
        let mut note = |kind, id, what: String| drift.push(Drift { kind, id, what, repaired: repair });
        let ids: Vec<JobId> = self.rows.iter().filter(|(_, row)| row.queue == *queue).map(|(id, _)| *id).collect();
        for id in &ids {
            let Some(row) = self.rows.get_mut(id) else { continue };
            let running = row.state == State::Running;
            match row.running.filter(|_| row.lease.is_some()) {
                _ if !running => {
                    if row.lease.is_some() {
                        note(DriftKind::Doubled, Some(*id), "lease".to_owned());
                        row.lease = row.lease.take().filter(|_| !repair);
                    }
                    if row.asked_to_stop && is_live(row) {
                        note(DriftKind::IdleStop, Some(*id), "cancel".to_owned());
                        row.asked_to_stop = !repair;
                    }
                }
                None => {
                    note(DriftKind::Homeless, Some(*id), "running without a lease".to_owned());
                    if repair {
                        self.ready(*id, false);
                    }
                }
                Some((worker, _)) if !self.workers.contains_key(&worker) => {
                    note(DriftKind::UnknownWorker, None, worker.to_string());
                    if repair {
                        // Dead since ever: the next beat of anybody takes its jobs back.
                        let queues = vec![queue.clone()];
                        let info =
                            WorkerInfo { id: worker, name: String::new(), queues, concurrency: 0, started_at_ms: 0 };
                        self.workers.insert(worker, (info, 0));
                    }
                }
                Some(_) => {}
            }
        }
        let holds = |key: &str, id: &JobId| {
            let row = self.rows.get(id).filter(|row| is_live(row));
            row.and_then(|row| row.unique.as_ref()).is_some_and(|unique| unique.key == key)
        };
        let mut idle: Vec<_> =
            self.unique.iter().filter(|((name, key), id)| name == queue && !holds(key, id)).collect();
        idle.sort();
        let idle: Vec<_> = idle.into_iter().map(|(key, id)| (key.clone(), *id)).collect();
        for (key, id) in idle {
            note(DriftKind::HeldKey, Some(id), key.1.clone());
            if repair {
                self.unique.remove(&key);
            }
        }
        drift.extend(self.audit_batches(queue, repair));
        Audit { checked: ids.len() as u64, drift }
    }
}

fn is_live(row: &Row) -> bool {
    matches!(row.state, State::Scheduled | State::Ready | State::Running)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryQueue;
    use super::*;
    use crate::id::WorkerId;
    use crate::job::Envelope;
    use crate::options::{Options, Unique, UniqueUntil};
    use crate::queue::{Lease, Queue};

    async fn ready(queue: &MemoryQueue, key: &str) -> JobId {
        let args = serde_json::value::RawValue::from_string("1".to_owned()).expect("valid JSON");
        let unique = Some(Unique::new(key, UniqueUntil::Finished));
        let kind = crate::id::Kind::new("test.run").expect("valid");
        let job = Envelope::raw(kind, args, Options { unique, ..Options::default() }).expect("small");
        queue.push(std::slice::from_ref(&job)).await.expect("takes it");
        job.id
    }

    async fn found(queue: &MemoryQueue, repair: bool) -> Vec<(DriftKind, Option<JobId>)> {
        let audit = queue.audit(&QueueName::default(), repair).await.expect("answers");
        assert!(audit.drift.iter().all(|drift| drift.repaired == repair));
        audit.drift.into_iter().map(|drift| (drift.kind, drift.id)).collect()
    }

    #[tokio::test]
    async fn each_contradiction_is_found_and_repaired() {
        let queue = MemoryQueue::new();
        let ids = [ready(&queue, "a").await, ready(&queue, "b").await, ready(&queue, "c").await];
        assert_eq!(found(&queue, true).await, []);
        let gone = JobId::new();
        {
            let mut world = queue.world();
            world.unique.insert((QueueName::default(), "z".to_owned()), gone);
            let row = |world: &mut World, at: usize, change: fn(&mut Row)| {
                change(world.rows.get_mut(&ids[at]).expect("is there"));
            };
            row(&mut world, 0, |row| row.state = State::Running);
            row(&mut world, 1, |row| row.asked_to_stop = true);
            row(&mut world, 2, |row| {
                (row.state, row.lease) = (State::Running, Some(Lease("x".into())));
                row.running = Some((WorkerId::new(), 1));
            });
        }
        let expected = [
            (DriftKind::Homeless, Some(ids[0])),
            (DriftKind::IdleStop, Some(ids[1])),
            (DriftKind::UnknownWorker, None),
            (DriftKind::HeldKey, Some(gone)),
        ];
        assert_eq!(found(&queue, false).await, expected);
        assert_eq!(found(&queue, true).await, expected);
        assert_eq!(found(&queue, true).await, []);
        let info = queue.queues().await.expect("answers").remove(0);
        assert_eq!((info.ready, info.running), (2, 1));
    }
}
