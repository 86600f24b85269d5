//! How long a job waits for an idle worker.

use tokio::time::{MissedTickBehavior, interval};

use super::crew::Crew;
use super::flood::push;
use super::job::{Starts, envelope, plain};
use super::plan::PICKUP_EVERY;
use super::stage::Stage;
use super::statistics::Sorted;
use crate::base::Result;

/// So many jobs go ahead, until everything has been used once.
const AHEAD: usize = 5;

/// Pushes a job now and then; returns the milliseconds from before each push to the first line of its handler.
pub(super) async fn pickup_ms(stage: &Stage, jobs: usize) -> Result<Sorted> {
    let all = jobs + AHEAD;
    let starts = Starts::expect(all, all);
    let envelopes: Vec<_> =
        (0..all).map(|number| envelope(stage.plan.payload_bytes, Some(number), plain())).collect::<Result<_>>()?;
    let crew = Crew::start(stage, &starts)?;
    let mut ticks = interval(PICKUP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pushed_ns = Vec::with_capacity(all);
    for job in &envelopes {
        ticks.tick().await;
        pushed_ns.push(starts.now_ns());
        push(&*stage.queue, std::slice::from_ref(job)).await?;
    }
    crew.finish(&starts, all).await?;
    let waits = pushed_ns.iter().enumerate().skip(AHEAD).filter_map(|(number, pushed_ns)| {
        starts.began_ns(number).map(|began_ns| began_ns.saturating_sub(*pushed_ns) as f64 / 1e6)
    });
    Ok(Sorted::new(waits.collect()))
}
