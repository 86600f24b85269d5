//! What several workers on several masters get through beside one.

use deskhand_jobs::{Options, QueueName};

use super::crew::Crew;
use super::flood::{Cost, batches, push_in_bulk};
use super::job::{Starts, envelope};
use super::round::Figures;
use super::server::Server;
use super::stage::{Ground, Stage};
use crate::base::Result;

/// Measures the rate of two workers, each with a queue on a master of its own, as a part of that of one worker with both queues.
pub(super) async fn workers(stage: &Stage, figures: &mut Figures) -> Result<()> {
    let Ground::Redis(server) = &stage.ground else { return Ok(()) };
    let Some([first, second]) = server.queues_apart().await? else { return Ok(()) };
    let (both, each) = ([first.clone(), second.clone()], [vec![first], vec![second]]);
    // One before and after, since a machine does not stay equally fast.
    let before = rate(stage, server, &both, &[both.to_vec()]).await?;
    let ours = rate(stage, server, &both, &each).await?;
    let after = rate(stage, server, &both, &[both.to_vec()]).await?;
    figures.insert("two_workers_ratio", ours / f64::midpoint(before, after));
    Ok(())
}

/// Fills the queues equally, lets workers with these queues drain them, and returns how many jobs a second that were.
async fn rate(stage: &Stage, server: &Server, queues: &[QueueName; 2], workers: &[Vec<QueueName>]) -> Result<f64> {
    let half = stage.plan.jobs / 2;
    for queue in queues {
        let options = Options { queue: queue.clone(), ..Options::default() };
        push_in_bulk(stage, batches(half, |_| envelope(stage.plan.payload_bytes, None, options.clone()))?).await?;
    }
    let starts = Starts::expect(2 * half, 0);
    let out = Cost::of(stage, async {
        let mut crews = Vec::new();
        for queues in workers {
            crews.push(Crew::of(stage, server.queue().await?, queues, &starts)?);
        }
        for crew in crews {
            crew.finish(&starts, 2 * half / workers.len()).await?;
        }
        Ok(())
    });
    Ok((2 * half) as f64 / out.await?.wall_s)
}
