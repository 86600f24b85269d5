//! One attempt without a worker around it, for tests of jobs.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::attempt::Attempts;
use super::config::Pace;
use super::delivery::{Delivery, Ticket};
use super::health::HealthHandle;
use crate::cancellation::Cancellation;
use crate::queue::{Claimed, Verdict};
use crate::registry::Registry;
use crate::teller::Teller;

/// Runs a claimed job to the end of its attempt; whoever claimed it reports what it told and settles it.
pub(crate) async fn once(job: &Claimed, registry: &Registry) -> (Verdict, Option<crate::queue::Report>) {
    let (reports, _nobody) = mpsc::unbounded_channel();
    let (desk, _empty) = mpsc::unbounded_channel();
    let teller = Teller::new(job, Instant::now(), Arc::new(desk));
    let delivery = Delivery {
        id: job.id,
        queue: job.queue.clone(),
        payload: job.payload.clone(),
        history: job.history.clone(),
        claimed_at_ms: job.claimed_at_ms,
        cancellation: Cancellation::default(),
        teller: teller.clone(),
        ticket: Ticket::new(0, Arc::new(reports)),
    };
    let attempts = Attempts { registry: registry.clone(), health: HealthHandle::new(), pace: Pace::default() };
    let verdict = attempts.run(delivery).await.1;
    (verdict, teller.close())
}
