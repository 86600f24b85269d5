//! Waiting for runs, with a line that tells how far they are.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use deskhand_jobs::JobId;

use crate::app::App;
use crate::http::JobView;
use crate::work_orders::Asked;

/// How often to look.
const LOOK: Duration = Duration::from_millis(250);

/// Waits until the jobs have ended. On a terminal a line shows how many tickets they have read.
pub(super) async fn wait(app: &App, jobs: &[Asked]) -> anyhow::Result<Vec<JobView>> {
    let mut jobs: Vec<JobId> = jobs.iter().map(|asked| asked.job_id).collect();
    let is_watched = std::io::stderr().is_terminal();
    loop {
        let mut views = Vec::with_capacity(jobs.len());
        for id in &mut jobs {
            let mut view = JobView::from(app.jobs.get(&app.tenant(), *id).await?);
            // A large run goes on in parts, and another job ends it.
            if let Some(next) = goes_on_as(&view) {
                *id = next;
                view = JobView::from(app.jobs.get(&app.tenant(), next).await?);
            }
            views.push(view);
        }
        let ended = views.iter().filter(|view| is_end(view)).count();
        if is_watched {
            let tickets: u64 = views.iter().map(tickets).sum();
            let end = if ended == views.len() { "\n" } else { "" };
            // Who does not see the line does not miss anything.
            let _ = write!(std::io::stderr(), "\r{ended} of {} runs ended, {tickets} tickets so far{end}", views.len());
        }
        if ended == views.len() {
            return Ok(views);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says in a line how a run ended.
pub(super) fn told(view: &JobView) -> String {
    let why = view.last_error.as_ref().filter(|_| view.state != "succeeded");
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("job {} {} with {} tickets{why}", view.id, view.state, tickets(view))
}

/// Says whether all went well.
pub(super) fn all_good(views: &[JobView]) -> bool {
    views.iter().all(|view| view.state == "succeeded")
}

fn is_end(view: &JobView) -> bool {
    matches!(view.state, "succeeded" | "dead" | "cancelled")
}

fn goes_on_as(view: &JobView) -> Option<JobId> {
    view.result.as_ref()?.get("goes_on_as")?.as_str()?.parse().ok()
}

fn tickets(view: &JobView) -> u64 {
    view.progress.as_ref().map_or(0, |progress| progress.done)
}
