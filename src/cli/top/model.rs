//! What is shown, made of what was read: pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::QueueName;

use super::look::Look;

/// Everything on the screen that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    pub(super) at: DateTime<Utc>,
    pub(super) queues: Vec<QueueRow>,
    pub(super) workers: Vec<WorkerRow>,
    pub(super) failures: Vec<Failure>,
    /// How many jobs wait in the database.
    pub(super) pending: i64,
    /// For how long the first of them is due, if it is.
    pub(super) overdue: Option<TimeDelta>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueueRow {
    pub(super) name: QueueName,
    pub(super) paused: bool,
    pub(super) limit: Option<u32>,
    pub(super) ready: u64,
    pub(super) scheduled: u64,
    pub(super) running: u64,
    pub(super) dead: u64,
    /// How many jobs succeed in a second; `None` at the first look.
    pub(super) per_second: Option<f64>,
    pub(super) oldest: Option<TimeDelta>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkerRow {
    pub(super) name: String,
    pub(super) queues: String,
    pub(super) busy: usize,
    pub(super) concurrency: usize,
    pub(super) age: TimeDelta,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) error: String,
}

/// The model and what the person in front of it has chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Screen {
    pub(super) model: Model,
    pub(super) selected: usize,
    pub(super) every: Duration,
    pub(super) help: bool,
    /// What the last key or the last look brought.
    pub(super) note: Option<String>,
}

/// The rates that a key goes through, in seconds.
const RATES_S: [u64; 4] = [1, 2, 5, 10];

impl Model {
    /// Makes what is shown of a look, with the rates since the one before.
    pub(super) fn of(look: &Look, before: Option<&Look>) -> Self {
        let queues = look.queues.iter().map(|queue| QueueRow {
            name: queue.name.clone(),
            paused: queue.paused,
            limit: queue.concurrency,
            ready: queue.ready,
            scheduled: queue.scheduled,
            running: queue.running,
            dead: queue.dead,
            per_second: before.and_then(|before| {
                let old = before.queues.iter().find(|old| old.name == queue.name)?;
                rate(old.succeeded_total, queue.succeeded_total, look.at - before.at)
            }),
            oldest: queue.oldest_ready_at_ms.map(|at_ms| age(look.at, at_ms)),
        });
        let workers = look.workers.iter().map(|worker| WorkerRow {
            name: worker.name.clone(),
            queues: worker.queues.iter().map(QueueName::as_str).collect::<Vec<_>>().join(","),
            busy: look.busy.get(&worker.id).copied().unwrap_or_default(),
            concurrency: worker.concurrency,
            age: age(look.at, worker.started_at_ms),
        });
        let failures = look.failures.iter().map(|job| Failure {
            at: job.ended_at,
            kind: job.kind.to_string(),
            queue: job.options.queue.to_string(),
            error: job.last_error.as_deref().and_then(|text| text.lines().next()).unwrap_or("-").to_owned(),
        });
        let overdue = look.backlog.next_due_at.map(|due| look.at - due).filter(|late| *late > TimeDelta::zero());
        Self {
            at: look.at,
            queues: queues.collect(),
            workers: workers.collect(),
            failures: failures.collect(),
            pending: look.backlog.pending,
            overdue,
        }
    }
}

impl Screen {
    pub(super) fn new(model: Model, every: Duration) -> Self {
        Self { model, selected: 0, every, help: false, note: None }
    }

    /// Returns the queue that a key acts on.
    pub(super) fn queue(&self) -> Option<&QueueRow> {
        self.model.queues.get(self.selected)
    }

    /// Takes a new model; the same queue stays selected, wherever it is now.
    pub(super) fn show(&mut self, model: Model) {
        let name = self.queue().map(|queue| queue.name.clone());
        let place = model.queues.iter().position(|queue| Some(&queue.name) == name.as_ref());
        self.selected = place.unwrap_or(self.selected.min(model.queues.len().saturating_sub(1)));
        self.model = model;
    }

    /// Selects the next queue, or the one before.
    pub(super) fn step(&mut self, down: bool) {
        let last = self.model.queues.len().saturating_sub(1);
        self.selected = if down { (self.selected + 1).min(last) } else { self.selected.saturating_sub(1) };
    }

    /// Looks less often, or after the slowest as often as it can.
    pub(super) fn slower(&mut self) {
        let now = self.every.as_secs();
        let next = RATES_S.into_iter().find(|rate_s| *rate_s > now).unwrap_or(RATES_S[0]);
        self.every = Duration::from_secs(next);
    }
}

/// A store that was emptied counts from zero again: then there is no rate to tell.
fn rate(old: u64, new: u64, between: TimeDelta) -> Option<f64> {
    let seconds = between.num_milliseconds() as f64 / 1_000.0;
    (new >= old && seconds > 0.0).then(|| (new - old) as f64 / seconds)
}

fn age(now: DateTime<Utc>, since_ms: i64) -> TimeDelta {
    TimeDelta::milliseconds((now.timestamp_millis() - since_ms).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_in_between() {
        let second = TimeDelta::seconds(1);
        assert_eq!(rate(10, 30, second * 4), Some(5.0));
        assert_eq!(rate(10, 10, second), Some(0.0));
        assert_eq!(rate(10, 3, second), None);
        assert_eq!(rate(1, 2, TimeDelta::zero()), None);
    }

    #[test]
    fn the_selection_follows_its_queue_and_stays_on_the_list() {
        let mut screen = super::super::view::tests::screen();
        screen.step(true);
        screen.step(true);
        assert_eq!(screen.queue().expect("one").name.as_str(), "mail");
        let mut model = screen.model.clone();
        model.queues.reverse();
        screen.show(model.clone());
        assert_eq!((screen.selected, screen.queue().expect("one").name.as_str()), (0, "mail"));
        screen.step(false);
        assert_eq!(screen.selected, 0);
        model.queues.clear();
        screen.show(model);
        assert_eq!(screen.queue(), None);
    }

    #[test]
    fn the_rates_go_round() {
        let mut screen = super::super::view::tests::screen();
        let seen: Vec<u64> = (0..4)
            .map(|_| {
                screen.slower();
                screen.every.as_secs()
            })
            .collect();
        assert_eq!(seen, [5, 10, 1, 2]);
    }
}
