//! Why a job is not running now: pure, from what the store tells of the job, its queue and the workers.

use serde::Serialize;

use super::{GroupInfo, JobRecord, QueueInfo, State, WorkerInfo};
use crate::id::JobId;

/// One reason, as a stable code and as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For programs.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// What kinds of reasons there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// It waits for its time.
    NotDue,
    /// It failed and waits for its next attempt.
    Retrying,
    /// No worker knew its kind.
    UnknownKind,
    /// Its queue is paused.
    Paused,
    /// As many jobs of its queue run as may.
    QueueFull,
    /// Its group may not start a job now.
    Limited,
    /// No living worker serves its queue.
    NobodyServes,
    /// All workers have as many jobs as they may have.
    AllBusy,
    /// Others are before it.
    Behind,
    /// A worker is about to take it.
    NextInLine,
    /// It runs.
    Running,
    /// It has ended.
    Ended,
    /// It is dead.
    Dead,
}

/// What the store tells beside the job itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// Its queue.
    pub queue: Option<&'a QueueInfo>,
    /// Its group.
    pub group: Option<&'a GroupInfo>,
    /// Some jobs of its group that run; they need not be all.
    pub running: &'a [JobId],
    /// The workers that are believed alive.
    pub workers: &'a [WorkerInfo],
}

/// Explains where a job is. `now_ms` is the caller's clock; it only words distances.
///
/// All that holds is said, what stands in the way first: a job may be scheduled in a paused queue that nobody serves.
pub fn explain(job: &JobRecord, around: &Surroundings<'_>, now_ms: i64) -> Vec<Reason> {
    let Surroundings { queue, workers, .. } = *around;
    let reason = |code, text: String| Reason { code, text };
    let error = job.history.last_error.as_deref().unwrap_or("no error was kept");
    let mut reasons = match job.state {
        State::Running => {
            let (worker, since_ms) =
                job.running.map_or(("a worker".to_owned(), now_ms), |(id, at)| (id.to_string(), at));
            return vec![reason(
                Code::Running,
                format!("worker {worker} has it since {}", distance(now_ms - since_ms)),
            )];
        }
        State::Succeeded | State::Cancelled => {
            return vec![reason(Code::Ended, format!("it has ended: {}", job.state))];
        }
        State::Dead => {
            let why = job.dead_reason.map_or("dead", super::DeadReason::as_str);
            return vec![reason(Code::Dead, format!("it is dead ({why}): {error}; cure the cause and redrive it"))];
        }
        State::Scheduled => vec![waits(job, error, now_ms)],
        State::Ready => Vec::new(),
    };
    if queue.is_some_and(|queue| queue.paused) {
        reasons.push(reason(Code::Paused, format!("queue {} is paused; resume it", job.queue)));
    }
    if let Some(queue) = queue.filter(|queue| queue.is_full()) {
        let most = queue.concurrency.unwrap_or_default();
        let text = format!(
            "{} of the {most} jobs of queue {} that may run at once are running; wait, or raise its limit",
            queue.running, job.queue
        );
        reasons.push(reason(Code::QueueFull, text));
    }
    if let Some(group) = around.group {
        reasons.extend(limited(group, around.running, now_ms));
    }
    let serving: Vec<&WorkerInfo> = workers.iter().filter(|worker| worker.queues.contains(&job.queue)).collect();
    if serving.is_empty() {
        let text = format!("no living worker serves queue {}; start one with --queues {}", job.queue, job.queue);
        reasons.push(reason(Code::NobodyServes, text));
    } else if job.state == State::Ready {
        reasons.extend(line(job, queue, &serving));
    }
    if reasons.is_empty() {
        reasons.push(reason(Code::NextInLine, "a worker is about to take it".to_owned()));
    }
    reasons
}

fn waits(job: &JobRecord, error: &str, now_ms: i64) -> Reason {
    let due = distance(job.run_at_ms.unwrap_or(now_ms) - now_ms);
    let failures = job.history.failures;
    if let Some(since_ms) = job.history.aside_since_ms {
        let since = distance(now_ms - since_ms);
        let text =
            format!("no worker knew its kind for {since}; it is offered again in {due}; deploy a worker that knows it");
        return Reason { code: Code::UnknownKind, text };
    }
    if failures > 0 {
        let text = format!("attempt {failures} failed ({error}); the next is in {due}");
        return Reason { code: Code::Retrying, text };
    }
    Reason { code: Code::NotDue, text: format!("it is due in {due}") }
}

/// Says which limit of its group holds a job back, if one does.
fn limited(group: &GroupInfo, running: &[JobId], now_ms: i64) -> Option<Reason> {
    let key = &group.key;
    if let Some(most) = group.limits.concurrency
        && group.running >= u64::from(most)
    {
        let named: Vec<String> = running.iter().map(ToString::to_string).collect();
        let by = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        let text = format!(
            "{} of the {most} jobs of group {key} that may run at once are running{by}; wait, or raise its limit",
            group.running
        );
        return Some(Reason { code: Code::Limited, text });
    }
    let next_ms = group.next_token_at_ms.filter(|at_ms| *at_ms > now_ms)?;
    let text =
        format!("the rate of group {key} lets the next job start in {}; wait, or raise it", distance(next_ms - now_ms));
    Some(Reason { code: Code::Limited, text })
}

fn line(job: &JobRecord, queue: Option<&QueueInfo>, serving: &[&WorkerInfo]) -> Vec<Reason> {
    let Some(queue) = queue else { return Vec::new() };
    let places: usize = serving.iter().map(|worker| worker.concurrency).sum();
    let mut reasons = Vec::new();
    if queue.running >= places as u64 {
        let text = format!(
            "{} of {places} places are taken on {} workers; wait, or start more workers",
            queue.running,
            serving.len()
        );
        reasons.push(Reason { code: Code::AllBusy, text });
    }
    if queue.ready > 1 {
        let text = format!("{} jobs are ready in queue {}, and the urgent go first", queue.ready, job.queue);
        reasons.push(Reason { code: Code::Behind, text });
    }
    reasons
}

/// Words a distance in time, in the two largest units.
fn distance(ms: i64) -> String {
    if (1..1_000).contains(&ms) {
        return format!("{ms} ms");
    }
    let seconds = ms.max(0) / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupKey, QueueName, WorkerId};
    use crate::options::{Limits, Priority};
    use crate::queue::{DeadReason, History};

    const NOW_MS: i64 = 1_000_000_000;

    fn job(state: State) -> JobRecord {
        JobRecord {
            id: JobId::new(),
            queue: QueueName::default(),
            state,
            priority: Priority::Normal,
            batch: None,
            group: None,
            run_at_ms: (state == State::Scheduled).then_some(NOW_MS + 90_000),
            running: None,
            lease: None,
            ended_at_ms: None,
            dead_reason: (state == State::Dead).then_some(DeadReason::Exhausted),
            history: History { last_error: Some("refused".into()), ..History::default() },
            result: None,
            progress: None,
            log: Vec::new(),
            payload: None,
        }
    }

    fn queue(paused: bool, ready: u64, running: u64) -> QueueInfo {
        QueueInfo {
            name: QueueName::default(),
            paused,
            concurrency: Some(3),
            ready,
            scheduled: 0,
            running,
            dead: 0,
            pushed_total: 0,
            succeeded_total: 0,
            failed_total: 0,
            recovered_total: 0,
            oldest_ready_at_ms: None,
        }
    }

    fn worker(concurrency: usize) -> WorkerInfo {
        let queues = vec![QueueName::default()];
        WorkerInfo { id: WorkerId::new(), name: "host:1".into(), queues, concurrency, started_at_ms: 0 }
    }

    fn codes(job: &JobRecord, queue: &QueueInfo, workers: &[WorkerInfo]) -> Vec<Code> {
        let around = Surroundings { queue: Some(queue), workers, ..Surroundings::default() };
        explain(job, &around, NOW_MS).into_iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn each_obstacle_is_named() {
        let ready = job(State::Ready);
        let (one, none) = ([worker(2)], []);
        assert_eq!(codes(&ready, &queue(false, 1, 0), &one), [Code::NextInLine]);
        assert_eq!(codes(&ready, &queue(false, 9, 0), &one), [Code::Behind]);
        assert_eq!(codes(&ready, &queue(false, 1, 2), &one), [Code::AllBusy]);
        assert_eq!(codes(&ready, &queue(true, 1, 0), &none), [Code::Paused, Code::NobodyServes]);
        assert_eq!(codes(&ready, &queue(false, 1, 3), &[worker(9)]), [Code::QueueFull]);
        assert_eq!(codes(&job(State::Scheduled), &queue(true, 0, 0), &one), [Code::NotDue, Code::Paused]);
        assert_eq!(codes(&job(State::Running), &queue(true, 0, 1), &none), [Code::Running]);
        assert_eq!(codes(&job(State::Succeeded), &queue(true, 0, 0), &none), [Code::Ended]);
        assert_eq!(codes(&job(State::Dead), &queue(false, 0, 0), &one), [Code::Dead]);
    }

    #[test]
    fn a_retry_says_what_failed_and_when_the_next_is() {
        let mut failed = job(State::Scheduled);
        failed.history.failures = 3;
        let text = explain(&failed, &Surroundings::default(), NOW_MS).remove(0).text;
        assert_eq!(text, "attempt 3 failed (refused); the next is in 1 min 30 s");
    }

    #[test]
    fn what_was_set_aside_is_told_from_what_failed() {
        let mut aside = job(State::Scheduled);
        aside.history.aside_since_ms = Some(NOW_MS - 7_200_000);
        let reasons = explain(&aside, &Surroundings::default(), NOW_MS);
        assert_eq!(reasons[0].code, Code::UnknownKind);
        assert!(reasons[0].text.contains("2 h 0 min"), "{}", reasons[0].text);
    }

    #[test]
    fn a_full_group_names_who_runs_and_a_rate_says_when() {
        let limits = Limits { concurrency: Some(2), rate: None };
        let key = GroupKey::new("site:7").expect("valid");
        let mut group =
            GroupInfo { key, limits, pinned: false, running: 2, waiting: 1, next_token_at_ms: Some(NOW_MS + 250) };
        let who = [JobId::new()];
        let of = |group: &GroupInfo| {
            let around = Surroundings { group: Some(group), running: &who, ..Surroundings::default() };
            explain(&job(State::Ready), &around, NOW_MS).remove(0)
        };
        let full = of(&group);
        assert_eq!(full.code, Code::Limited);
        assert!(full.text.contains("2 of the 2") && full.text.contains(&who[0].to_string()), "{}", full.text);
        group.running = 1;
        assert_eq!(of(&group).text, "the rate of group site:7 lets the next job start in 250 ms; wait, or raise it");
        group.next_token_at_ms = Some(NOW_MS);
        assert_eq!(of(&group).code, Code::NobodyServes);
    }
}
