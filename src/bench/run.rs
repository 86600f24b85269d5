//! A run, from the first look to the last trace taken away.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::report::Report;
use super::round::{self, Progress};
use super::stage::Stage;
use crate::base::{Error, Result};

/// Measures, and takes away what that has left: also when it fails, and when `stop` fires.
///
/// Handlers run on `handlers`; `tell` hears what is going on.
///
/// # Errors
/// [`Error::Invalid`] if the place is not fit for it, [`Error::Unavailable`] if it does not answer or could not be cleaned up,
/// [`Error::Conflict`] if it was stopped.
pub async fn run(plan: Plan, handlers: Handle, stop: CancellationToken, tell: fn(&str)) -> Result<Report> {
    let burden = burden(&plan);
    let stage = Stage::open(plan, handlers).await?;
    tell(&format!("measuring with {}; this loads {burden}", stage.place()));
    let measured = tokio::select! {
        measured = AssertUnwindSafe(measure(&stage, tell)).catch_unwind() => measured,
        () = stop.cancelled() => Ok(Err(Error::conflict("stopped", "stopped before all was measured; what was there is removed"))),
    };
    let place = stage.place();
    tell("cleaning up");
    if let Err(error) = stage.clear().await {
        return Err(Error::unavailable(
            format!("the cleaning up left {place}, which are to be removed by hand: the store"),
            error,
        ));
    }
    measured.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn measure(stage: &Stage, tell: fn(&str)) -> Result<Report> {
    let settings = stage.settings().await?;
    tell("warming up");
    round::warm_up(stage).await?;
    let mut rounds = Vec::with_capacity(stage.plan.rounds);
    for number in 1..=stage.plan.rounds {
        let of = stage.plan.rounds;
        rounds.push(round::measure(stage, Progress { tell, number, of }).await?);
    }
    Ok(Report::new(settings, rounds))
}

fn burden(plan: &Plan) -> &'static str {
    if plan.url.starts_with("sqlite://") {
        "the disk and the processors of this host"
    } else {
        "that server as much as it bears: whoever else uses it will feel it"
    }
}
