//! The engine: one task that claims, hands out, settles and stops. It never runs a handler.
//!
//! ```text
//!   claim ──▶ inbox ──▶ shell: attempt ──▶ report ──▶ settle
//!     ▲                                       │
//!     └──────────── a free place ◀────────────┘
//! ```
//!
//! It knows every delivery that is out, and a delivery reports exactly once; so nothing that happens in the shell can lose one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::attempt::Attempts;
use super::config::{Config, Pace, Summary};
use super::delivery::{Delivery, Inbox, Number, Report, Reports, Ticket};
use super::feeding::{Answer, Fed, Feeding};
use super::figures::{self, Slots};
use super::health::HealthHandle;
use super::life::{LifeNumber, News};
use super::listening::Listening;
use super::lives::Lives;
use super::outage::{Call, Failure, Outage};
use super::settling::{Flushed, Settling};
use super::shell::Shell;
use super::telling::Telling;
use super::turns::Turn;
use crate::cancellation::Cancellation;
use crate::id::{JobId, QueueName};
use crate::queue::{Claim, Lease, Settled, Settlement, Verdict};
use crate::teller::Teller;
use crate::verdict::Cause;

const REPORTS_AT_ONCE: usize = 1_024;

/// How long a stopping worker tries to leave; after that its leases run out by themselves.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// After the last handlers had to stop, so long until those that block their thread are given up.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);

/// Called after outcomes were taken by the store.
pub(super) type Hook = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Engine {
    pub config: Config,
    pub pace: Pace,
    pub health: HealthHandle,
    pub outage: Arc<Outage>,
    pub attempts: Arc<Attempts>,
    /// Where handlers run.
    pub handlers: Handle,
    pub shell: Shell,
    pub inbox: Arc<Inbox>,
    pub lives: Lives,
    pub news: mpsc::UnboundedReceiver<News>,
    pub feeding: Feeding,
    pub listening: Listening,
    pub telling: Telling,
    pub settling: Settling,
    pub on_settled: Option<Hook>,
    pub work: Work,
    pub slots: Slots,
}

/// What is out, and the way back.
pub(super) struct Work {
    out: HashMap<Number, Out, RandomState>,
    last: Number,
    sender: Reports,
    reports: mpsc::UnboundedReceiver<Vec<Report>>,
    buffer: Vec<Vec<Report>>,
    ahead: Ahead,
    phase: Phase,
    summary: Summary,
}

impl Work {
    pub(super) fn new() -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let (out, ahead, summary) = (HashMap::default(), Ahead::default(), Summary::default());
        Self { out, last: 0, sender, reports, buffer: Vec::new(), ahead, phase: Phase::Working, summary }
    }
}

/// A delivery that has not reported.
struct Out {
    life: LifeNumber,
    id: JobId,
    queue: QueueName,
    lease: Lease,
    cancellation: Cancellation,
    teller: Teller,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Working,
    /// No new jobs; running ones may finish until then.
    Draining(Instant),
    /// Running jobs are asked to stop; those that do not are given up then.
    Cancelling(Instant),
    /// Only outcomes are left to tell.
    Flushing(Instant),
    Over,
}

impl Engine {
    pub(super) async fn run(mut self, stop: CancellationToken) -> Summary {
        loop {
            self.advance();
            let until = match self.work.phase {
                Phase::Working => None,
                Phase::Draining(until) | Phase::Cancelling(until) | Phase::Flushing(until) => Some(until),
                Phase::Over => return self.close().await,
            };
            let tell_at = self.telling.due();
            tokio::select! {
                biased;
                () = stop.cancelled(), if until.is_none() => self.begin_stop(),
                fed = self.feeding.ended() => self.fed(fed),
                flushed = finish(&mut self.settling.slot) => self.flushed(flushed),
                asked = finish(&mut self.listening.slot) => self.stop_asked(&asked),
                _ = self.work.reports.recv_many(&mut self.work.buffer, REPORTS_AT_ONCE) => self.absorb(),
                Some(news) = self.news.recv() => self.heard(news),
                () = finish(&mut self.telling.slot) => {}
                Some(sheet) = self.telling.announced.recv() => self.telling.take(sheet),
                () = alarm(tell_at) => self.telling.start(),
                () = alarm(until) => self.time_is_up(),
                end = self.shell.ended(), if until.is_none() => self.restart_shell(end),
            }
        }
    }

    /// Starts what can be started.
    fn advance(&mut self) {
        let (places, out) = (self.config.concurrency.max(1), self.work.out.len());
        self.slots.set_busy(out.min(places));
        if matches!(self.work.phase, Phase::Working) {
            self.health.set_full(out >= places);
            self.resolve_doubt();
            if let Some(life) = self.lives.registered() {
                let mean = || self.health.figures().longest_mean(&life.info.queues);
                let room = || places + self.work.ahead.jobs(places, mean(), std::time::Instant::now());
                let certain = !self.outage.is_in_doubt();
                self.feeding.start(life, certain, || room().saturating_sub(out));
            }
        }
        if !self.work.out.is_empty() {
            self.listening.start(|| self.lives.with_jobs());
        }
        self.settling.start();
        let drained = self.work.out.is_empty() && !self.feeding.is_claiming();
        match self.work.phase {
            Phase::Draining(_) | Phase::Cancelling(_) if drained => self.flush(),
            _ => {}
        }
        if matches!(self.work.phase, Phase::Flushing(_)) && self.settling.len() == 0 {
            self.work.phase = Phase::Over;
        }
    }

    /// Goes on under another life after a call has failed, so that the store takes back what it wrongly believes to be here.
    fn resolve_doubt(&mut self) {
        // The answer to a claim may bring jobs that are not among the known ones yet.
        let certain = self.feeding.is_claiming() || !self.outage.take_doubt();
        if !certain && self.lives.registered().is_some() {
            // What a wait may bring belongs to the life that ends.
            self.feeding.stop();
            self.lives.renew();
        }
    }

    fn fed(&mut self, fed: Fed) {
        let Fed::Asked { life, turn, answer } = fed else { return };
        self.answered(life, &turn, answer);
        if !matches!(self.work.phase, Phase::Working) && !self.feeding.is_claiming() {
            // What a claim may have been given whose answer did not come is nobody's here.
            self.lives.take_no_more();
        }
    }

    fn answered(&mut self, life: LifeNumber, turn: &Turn, answer: Result<Answer, Failure>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                self.claim_failed(&failure);
                if matches!(self.work.phase, Phase::Working) {
                    self.lives.renew();
                }
                return;
            }
        };
        self.outage.answered(Call::Claim);
        self.health.contact();
        match answer {
            Answer::Claim { claim, early } => self.claimed(life, turn, claim, early),
            Answer::Wait { early } => {
                self.feeding.waited(early);
                if early {
                    self.inbox.expect();
                }
            }
        }
    }

    fn claimed(&mut self, life: LifeNumber, turn: &Turn, claim: Claim, early: Option<bool>) {
        self.feeding.claimed(turn, &claim, early);
        if claim.unheard {
            self.outage.doubt();
        }
        claim.late.iter().for_each(|late| self.health.figures().late(late));
        if claim.lost {
            self.feeding.failed(); // no life without a pause
            self.lost(life);
        } else {
            self.hand_out(life, claim);
        }
    }

    fn claim_failed(&mut self, failure: &Failure) {
        self.outage.failed(Call::Claim, failure);
        self.feeding.failed();
    }

    fn hand_out(&mut self, life_number: LifeNumber, claim: Claim) {
        let Some(life) = self.lives.valid(life_number).cloned() else { return };
        self.lives.charge(life_number, claim.jobs.iter().map(|job| job.id));
        let Work { out, last, sender, phase, .. } = &mut self.work;
        // What handlers share is shared by those of one claim only: counting who shares it is slow where threads do it at once.
        let (now, desk, sender) =
            (std::time::Instant::now(), Arc::new(self.telling.desk.clone()), Arc::new(sender.clone()));
        let mut theirs: Option<QueueName> = None;
        let deliveries = claim.jobs.into_iter().map(|job| {
            *last += 1;
            let cancellation = Cancellation::below(&life.lost);
            let teller = Teller::new(&job, now, Arc::clone(&desk));
            let queue = match &theirs {
                Some(queue) if *queue == job.queue => queue.clone(),
                _ => theirs.insert(job.queue.apart()).clone(),
            };
            out.insert(
                *last,
                Out {
                    life: life_number,
                    id: job.id,
                    queue: job.queue,
                    lease: job.lease,
                    cancellation: cancellation.clone(),
                    teller: teller.clone(),
                },
            );
            Delivery {
                id: job.id,
                queue,
                payload: job.payload,
                history: job.history,
                claimed_at_ms: job.claimed_at_ms,
                cancellation,
                teller,
                ticket: Ticket::new(*last, Arc::clone(&sender)),
            }
        });
        if matches!(phase, Phase::Working) {
            self.inbox.put(deliveries);
        } else {
            deliveries.for_each(drop); // the tickets hand them back
        }
    }

    fn absorb(&mut self) {
        for Report { number, verdict } in std::mem::take(&mut self.work.buffer).into_iter().flatten() {
            let Some(out) = self.work.out.remove(&number) else { continue };
            if self.lives.valid(out.life).is_none() {
                self.work.summary.stale += 1;
                figures::stale();
                self.lives.discharge(out.life, out.id);
                continue;
            }
            let rest = out.teller.close();
            let settlement = Settlement { id: out.id, queue: out.queue, lease: out.lease, verdict };
            self.settling.push((out.life, settlement), rest);
        }
    }

    fn flushed(&mut self, Flushed { batch, rests, answer }: Flushed) {
        let answers = match answer {
            Ok(answers) => answers,
            Err(failure) => {
                self.outage.failed(Call::Settle, &failure);
                self.settling.refused(batch, rests, &failure);
                return;
            }
        };
        self.outage.answered(Call::Settle);
        self.settling.taken(rests);
        for ((life, settlement), settled) in batch.into_iter().zip(answers) {
            if settled == Settled::Unanswered {
                self.settling.park((life, settlement));
                continue;
            }
            self.lives.discharge(life, settlement.id);
            let summary = &mut self.work.summary;
            match (settled, settlement.verdict) {
                (Settled::Stale, _) => {
                    summary.stale += 1;
                    figures::stale();
                }
                (Settled::Applied, Verdict::HandBack) => {
                    summary.handed_back += 1;
                    figures::handed_back();
                }
                (Settled::Applied, _) => summary.finished += 1,
                (Settled::Unanswered, _) => {}
            }
        }
        if let Some(hook) = &self.on_settled {
            hook();
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Registered(life) => self.lives.has_registered(life),
            News::Lost(life) => self.lost(life),
            News::Parted(life, queues) => self.parted(life, &queues),
        }
    }

    /// Hears regularly, while jobs are out, which of them are to stop.
    fn stop_asked(&mut self, ids: &[JobId]) {
        let stuck = self.inbox.take_stuck(self.pace.stuck);
        if !stuck.is_empty() {
            self.work.ahead.were_stuck(std::time::Instant::now());
            drop(stuck); // the tickets hand them back, for whoever has a place
        }
        for out in self.work.out.values().filter(|out| ids.contains(&out.id)) {
            out.cancellation.ask(Cause::Asked);
        }
    }

    fn lost(&mut self, life: LifeNumber) {
        let jobs = self.work.out.values().filter(|out| out.life == life).count();
        if self.lives.lose(life) {
            tracing::warn!(jobs, "the worker has lost its lease: its {jobs} jobs are stopped and it registers anew");
        }
    }

    /// Stops the jobs of queues whose leases are lost while the others are not.
    fn parted(&mut self, life: LifeNumber, queues: &[QueueName]) {
        let theirs = |out: &&Out| out.life == life && queues.contains(&out.queue);
        let jobs = self.work.out.values().filter(theirs).map(|out| out.cancellation.ask(Cause::Lost)).count();
        if jobs > 0 {
            let names = queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                queues = names,
                jobs,
                "the worker has lost its lease of {names}: {jobs} jobs of it are stopped"
            );
        }
    }

    fn begin_stop(&mut self) {
        tracing::info!(jobs = self.work.out.len(), "the worker stops: {} jobs may finish", self.work.out.len());
        self.work.phase = Phase::Draining(Instant::now() + self.config.grace);
        if !self.feeding.is_claiming() {
            self.feeding.stop();
            // The wait that was given up may have been given jobs.
            self.lives.take_no_more();
        }
        self.shell.stop();
        // What no handler has begun goes back at once: apalis would keep it until the last running handler has ended.
        drop(self.inbox.take_all());
    }

    fn time_is_up(&mut self) {
        match self.work.phase {
            Phase::Draining(_) => {
                for out in self.work.out.values() {
                    out.cancellation.ask(Cause::Stopping);
                }
                self.work.phase = Phase::Cancelling(Instant::now() + self.pace.stop_grace + GIVE_UP_AFTER);
            }
            Phase::Cancelling(_) => self.flush(),
            Phase::Flushing(_) => self.work.phase = Phase::Over,
            Phase::Working | Phase::Over => {}
        }
    }

    fn flush(&mut self) {
        self.feeding.stop();
        self.work.phase = Phase::Flushing(Instant::now() + self.pace.flush);
    }

    fn restart_shell(&mut self, end: Result<(), String>) {
        let error = end.err().unwrap_or_else(|| "it ended by itself".to_owned());
        tracing::error!(error, "the shell of the worker broke: its jobs are handed back and it starts again");
        self.shell =
            Shell::start(&self.config.name, &self.handlers, Arc::clone(&self.inbox), Arc::clone(&self.attempts));
    }

    async fn close(self) -> Summary {
        let mut summary = self.work.summary;
        summary.abandoned = (self.work.out.len() + self.settling.len()) as u64;
        // First the handlers: what is left of them must not run on after the store has been told to take their jobs back.
        drop(self.shell);
        self.lives.end(LEAVE_WITHIN).await;
        summary
    }
}

/// Finishes what is in the slot and empties it; never, if nothing is.
async fn finish<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(work) = slot else { return std::future::pending().await };
    let end = work.await;
    *slot = None;
    end
}

async fn alarm(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
