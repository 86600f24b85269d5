//! How punctual delayed jobs are.

use super::clock::wall_ms;
use super::crew::Crew;
use super::flood::{batches, push_in_bulk};
use super::job::{Starts, envelope, plain};
use super::plan::DELAY_SPREAD;
use super::stage::Stage;
use super::statistics::Sorted;
use crate::base::Result;

/// How much later than the last push the first job is due, in milliseconds.
const AFTER_PUSH_MS: f64 = 500.0;

/// Pushes jobs that are due evenly over a while, and returns by how many milliseconds each began after it was due.
///
/// `push_per_s` says how fast jobs are pushed: none is due before all are there.
pub(super) async fn errors_ms(stage: &Stage, jobs: usize, push_per_s: f64) -> Result<Sorted> {
    let starts = Starts::expect(jobs, jobs);
    let ahead_ms = stage.clock_ahead_ms().await?;
    // The clock of the notes, the time of day here, and the store's are brought together once.
    let (noted_ms, wall_ms) = (starts.now_ns() as f64 / 1e6, wall_ms());
    let push_ms = jobs as f64 / push_per_s.max(1.0) * 1e3;
    let first_ms = (wall_ms + ahead_ms + 2.0 * push_ms + AFTER_PUSH_MS).ceil();
    let between_ms = DELAY_SPREAD.as_secs_f64() * 1e3 / jobs as f64;
    let due_ms = |number: usize| (first_ms + number as f64 * between_ms) as i64;
    let made = batches(jobs, |number| {
        let mut job = envelope(stage.plan.payload_bytes, Some(number), plain())?;
        job.run_at_ms = Some(due_ms(number));
        Ok(job)
    })?;
    let crew = Crew::start(stage, &starts)?;
    push_in_bulk(stage, made).await?;
    crew.finish(&starts, jobs).await?;
    let errors = (0..jobs).filter_map(|number| {
        let began_ms = wall_ms + ahead_ms + starts.began_ns(number)? as f64 / 1e6 - noted_ms;
        Some(began_ms - due_ms(number) as f64)
    });
    Ok(Sorted::new(errors.collect()))
}
