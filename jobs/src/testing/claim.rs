//! Who starts next: the definition of the order of claiming, of limits and of turns.

use std::collections::{BTreeMap, VecDeque};

use super::memory::{Row, World};
use crate::id::{GroupKey, JobId, QueueName, WorkerId};
use crate::options::{Group, Limits, Priority, UniqueUntil};
use crate::queue::gate::{Gate, Rules};
use crate::queue::{Claimed, GroupInfo, Lease, State};

/// How many jobs of each group run.
type Running = BTreeMap<GroupKey, u64>;

impl World {
    /// Makes due jobs ready, in the order of their time, if any may start; returns how late they are.
    pub(super) fn promote(&mut self, queue: &QueueName) -> Vec<u64> {
        if self.room(queue) == 0 {
            return Vec::new();
        }
        let now_ms = self.now_ms;
        let mut due: Vec<(i64, JobId)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.state == State::Scheduled && row.queue == *queue && row.run_at_ms <= now_ms)
            .map(|(id, row)| (row.run_at_ms, *id))
            .collect();
        due.sort_unstable();
        for (_, id) in &due {
            self.ready(*id, false);
        }
        due.into_iter().map(|(due_ms, _)| (now_ms - due_ms) as u64).collect()
    }

    pub(super) fn claim(&mut self, worker: WorkerId, queue: &QueueName, limit: usize) -> Vec<Claimed> {
        let room = self.room(queue).min(limit);
        if room == 0 {
            return Vec::new();
        }
        let number = self.last_place();
        let lease = Lease(format!("{worker}:{number}:{}", self.now_ms).into());
        let mut running = self.running_by_group(queue);
        let mut lines: [VecDeque<JobId>; Priority::ALL.len()] = Default::default();
        for id in self.line(queue) {
            lines[usize::from(self.rows[&id].priority.rank())].push_back(id);
        }
        let mut claimed = Vec::new();
        while claimed.len() < room {
            let heads = lines.each_ref().map(|line| line.iter().position(|id| self.may_start(*id, &running)));
            let Some(rank) = self.totals(queue).turns.next(heads.map(|head| head.is_some())) else { break };
            let Some(id) = heads[rank].and_then(|head| lines[rank].remove(head)) else { break };
            claimed.extend(self.start(id, worker, &lease, &mut running));
        }
        claimed
    }

    fn start(&mut self, id: JobId, worker: WorkerId, lease: &Lease, running: &mut Running) -> Option<Claimed> {
        let now_ms = self.now_ms;
        if self.rows.get(&id)?.unique.as_ref().map(|unique| unique.until) == Some(UniqueUntil::Started) {
            self.release(id);
            self.rows.get_mut(&id)?.unique = None;
        }
        let row = self.rows.get_mut(&id)?;
        if let Some(key) = &row.group {
            *running.entry(key.clone()).or_default() += 1;
            self.groups.get_mut(&(row.queue.clone(), key.clone()))?.start(now_ms);
        }
        (row.state, row.lease, row.running) = (State::Running, Some(lease.clone()), Some((worker, now_ms)));
        Some(Claimed {
            id,
            queue: row.queue.clone(),
            lease: lease.clone(),
            payload: row.payload.clone(),
            history: row.history.clone(),
            claimed_at_ms: now_ms,
        })
    }

    /// How many more jobs of a queue may start; none if it is paused.
    fn room(&self, queue: &QueueName) -> usize {
        let Some(totals) = self.queues.get(queue) else { return usize::MAX };
        let running = self.rows.values().filter(|row| row.queue == *queue && row.state == State::Running).count();
        match totals.concurrency {
            _ if totals.paused => 0,
            Some(most) => (most as usize).saturating_sub(running),
            None => usize::MAX,
        }
    }

    fn running_by_group(&self, queue: &QueueName) -> Running {
        let mut running = Running::new();
        for row in self.rows.values().filter(|row| row.queue == *queue && row.state == State::Running) {
            if let Some(key) = &row.group {
                *running.entry(key.clone()).or_default() += 1;
            }
        }
        running
    }

    fn gate(&self, row: &Row, running: &Running) -> Gate {
        let Some(key) = &row.group else { return Gate::Open };
        let rules = self.groups.get(&(row.queue.clone(), key.clone())).copied().unwrap_or_default();
        rules.gate(running.get(key).copied().unwrap_or_default(), self.now_ms)
    }

    fn may_start(&self, id: JobId, running: &Running) -> bool {
        self.rows.get(&id).is_some_and(|row| self.gate(row, running) == Gate::Open)
    }

    /// When the next job becomes ready or gets its token, of those queues that hand out any.
    pub(super) fn next_due_ms(&self, queues: &[QueueName]) -> Option<u64> {
        let mut next_ms = None;
        for queue in queues.iter().filter(|queue| self.room(queue) > 0) {
            let running = self.running_by_group(queue);
            for row in self.rows.values().filter(|row| row.queue == *queue) {
                let at_ms = match (row.state, self.gate(row, &running)) {
                    (State::Scheduled, _) => row.run_at_ms,
                    (State::Ready, Gate::NoToken { until_ms }) => until_ms,
                    _ => continue,
                };
                next_ms = Some(next_ms.map_or(at_ms, |next_ms: i64| next_ms.min(at_ms)));
            }
        }
        next_ms.map(|at_ms| (at_ms - self.now_ms).max(0) as u64)
    }

    pub(super) fn has_work(&self, queues: &[QueueName]) -> bool {
        let open = |queue: &&QueueName| self.room(queue) > 0;
        let has = |queue: &QueueName| {
            let running = self.running_by_group(queue);
            self.line(queue).into_iter().any(|id| self.may_start(id, &running))
        };
        queues.iter().filter(open).any(has) || self.next_due_ms(queues) == Some(0)
    }

    /// Whether a group has no job that has not ended or is dead.
    fn is_idle(&self, queue: &QueueName, key: &GroupKey) -> bool {
        let ended = |state| matches!(state, State::Succeeded | State::Cancelled);
        !self.rows.values().any(|row| row.queue == *queue && row.group.as_ref() == Some(key) && !ended(row.state))
    }

    /// Forgets a group that nothing needs any more: no job, no operator, no token that is still to come.
    fn forget_group(&mut self, queue: &QueueName, key: &GroupKey) {
        let (idle, now_ms) = (self.is_idle(queue, key), self.now_ms);
        let of = (queue.clone(), key.clone());
        if self.groups.get(&of).is_some_and(|rules| idle && rules.pinned.is_none() && rules.full_ms(now_ms) <= now_ms) {
            self.groups.remove(&of);
        }
    }

    /// Notes what a new job says of its group. Comes before the job.
    pub(super) fn enroll(&mut self, queue: &QueueName, group: Option<&Group>) {
        let Some(group) = group else { return };
        self.forget_group(queue, &group.key);
        let now_ms = self.now_ms;
        self.groups.entry((queue.clone(), group.key.clone())).or_default().push(group.limits, now_ms);
    }

    pub(super) fn pin(&mut self, queue: &QueueName, key: &GroupKey, limits: Option<Limits>) {
        self.totals(queue);
        self.forget_group(queue, key);
        let now_ms = self.now_ms;
        self.groups.entry((queue.clone(), key.clone())).or_default().pin(limits, now_ms);
        self.forget_group(queue, key);
    }

    pub(super) fn group_infos(&self, queue: &QueueName) -> Vec<GroupInfo> {
        let count = |key: &GroupKey, states: &[State]| {
            let of = |row: &&Row| row.queue == *queue && row.group.as_ref() == Some(key) && states.contains(&row.state);
            self.rows.values().filter(of).count() as u64
        };
        let info = |key: &GroupKey, rules: &Rules| GroupInfo {
            key: key.clone(),
            limits: rules.limits(),
            pinned: rules.pinned.is_some(),
            running: count(key, &[State::Running]),
            waiting: count(key, &[State::Ready, State::Scheduled]),
            next_token_at_ms: rules.next_token_ms(self.now_ms),
        };
        self.groups
            .iter()
            .filter(|((of, key), rules)| of == queue && (rules.pinned.is_some() || !self.is_idle(queue, key)))
            .map(|((_, key), rules)| info(key, rules))
            .collect()
    }
}
