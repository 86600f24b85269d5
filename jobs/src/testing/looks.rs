//! Looking into a queue: which jobs wait in it.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::job::{Envelope, Job};
use crate::queue::{Page, Queue, Result, State};

/// The most jobs of a queue and a state that are looked at.
const MOST: usize = 10_000;

/// Returns the jobs of a kind that wait, ready or scheduled, in every queue.
///
/// # Errors
/// If the store does not answer.
pub async fn enqueued<J: Job>(queue: &dyn Queue) -> Result<Vec<J>> {
    Ok(waiting(queue).await?.into_iter().filter_map(|(_, envelope)| read(&envelope)).collect())
}

/// Proves that a job of this kind waits, ready or scheduled, which fits; returns it.
///
/// # Panics
/// If none does, with a list of those that wait; or if the store does not answer.
pub async fn assert_enqueued<J: Job>(queue: &dyn Queue, fits: impl Fn(&J) -> bool) -> J {
    let waiting = waiting(queue).await.expect("the queue of a test answers");
    let found = waiting.iter().find_map(|(_, envelope)| read(envelope).filter(&fits));
    found.unwrap_or_else(|| panic!("no job of {} waits that fits; {}", J::KIND, list::<J>(&waiting)))
}

/// Proves that no job of this kind waits, neither ready nor scheduled, which fits.
///
/// # Panics
/// If one does, with a list of those that wait; or if the store does not answer.
pub async fn refute_enqueued<J: Job>(queue: &dyn Queue, fits: impl Fn(&J) -> bool) {
    let waiting = waiting(queue).await.expect("the queue of a test answers");
    let found = waiting.iter().find(|(_, envelope)| read(envelope).is_some_and(|job| fits(&job)));
    if let Some((state, envelope)) = found {
        panic!("job {} of {} fits and is {state}: {}; {}", envelope.id, J::KIND, envelope.args, list::<J>(&waiting));
    }
}

async fn waiting(queue: &dyn Queue) -> Result<Vec<(State, Envelope)>> {
    let mut waiting = Vec::new();
    for info in queue.queues().await? {
        for state in [State::Ready, State::Scheduled] {
            for record in queue.list(&info.name, state, Page::first(MOST)).await?.jobs {
                let payload = record.payload.unwrap_or_default();
                let envelope = Envelope::decode(record.id, record.queue, &payload).ok();
                waiting.extend(envelope.map(|envelope| (state, envelope)));
            }
        }
    }
    Ok(waiting)
}

fn read<J: Job>(envelope: &Envelope) -> Option<J> {
    let of_kind = envelope.kind.as_str() == J::KIND;
    of_kind.then(|| serde_json::from_str(envelope.args.get()).ok()).flatten()
}

/// Lists what waits: the jobs of the kind with their arguments, the others by number.
fn list<J: Job>(waiting: &[(State, Envelope)]) -> String {
    let (mut ours, mut others) = (String::new(), BTreeMap::<&str, usize>::new());
    for (state, envelope) in waiting {
        if envelope.kind.as_str() == J::KIND {
            let strange = if read::<J>(envelope).is_none() { " (which does not fit the type)" } else { "" };
            write!(ours, "\n  {state} in {}: {}{strange}", envelope.options.queue, envelope.args)
                .expect("a string takes everything");
        } else {
            *others.entry(envelope.kind.as_str()).or_default() += 1;
        }
    }
    if ours.is_empty() {
        " none".clone_into(&mut ours);
    }
    let others: Vec<String> = others.iter().map(|(kind, count)| format!("{count} of {kind}")).collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    format!("of this kind wait:{ours}\nof others: {others}")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::job::Run;
    use crate::outcome::{self, Outcome};
    use crate::registry::Registry;
    use crate::testing::{MemoryQueue, drain};

    #[derive(Debug, Serialize, Deserialize)]
    struct Greet {
        name: String,
    }

    impl Job for Greet {
        const KIND: &'static str = "mail.greet";
        type Context = ();

        async fn run(self, (): (), _: Run) -> outcome::Result {
            Ok(Outcome::Done)
        }
    }

    /// Enqueues a greeting for each name, and for one of them tomorrow.
    #[derive(Serialize, Deserialize)]
    struct Invite {
        names: Vec<String>,
    }

    impl Job for Invite {
        const KIND: &'static str = "party.invite";
        type Context = std::sync::Arc<MemoryQueue>;

        async fn run(self, queue: Self::Context, _: Run) -> outcome::Result {
            for (n, name) in self.names.into_iter().enumerate() {
                let mut job = Envelope::new(&Greet { name })?;
                job.run_at_ms = (n == 0).then(|| queue.now_ms() + 86_400_000);
                queue.push(&[job]).await?;
            }
            Ok(Outcome::Done)
        }
    }

    async fn message(proof: impl Future<Output = ()>) -> String {
        let panic = std::panic::AssertUnwindSafe(proof).catch_unwind().await.expect_err("it does not hold");
        panic.downcast_ref::<String>().cloned().expect("a text")
    }

    #[tokio::test]
    async fn a_proof_that_fails_says_what_waits() {
        let queue = MemoryQueue::new();
        let text = message(async { drop(assert_enqueued::<Greet>(&queue, |_| true).await) }).await;
        assert_eq!(text, "no job of mail.greet waits that fits; of this kind wait: none\nof others: none");
        let invite = Invite { names: vec!["Ada".to_owned()] };
        let jobs = [Envelope::new(&Greet { name: "Bob".to_owned() }), Envelope::new(&invite)];
        queue.push(&jobs.map(|job| job.expect("small"))).await.expect("pushes");
        let text = message(async { drop(assert_enqueued::<Greet>(&queue, |job| job.name == "Eve").await) }).await;
        assert!(text.contains("\n  ready in default: {\"name\":\"Bob\"}\nof others: 1 of party.invite"), "{text}");
        refute_enqueued::<Greet>(&queue, |job| job.name == "Eve").await;
        let text = message(refute_enqueued::<Greet>(&queue, |job| job.name == "Bob")).await;
        assert!(text.contains("of mail.greet fits and is ready: {\"name\":\"Bob\"}"), "{text}");
    }

    #[tokio::test]
    async fn draining_runs_what_jobs_enqueue_and_leaves_tomorrow_to_the_clock() {
        let queue = std::sync::Arc::new(MemoryQueue::new());
        let mut registry = Registry::new();
        registry.add::<Greet>(()).expect("first");
        registry.add::<Invite>(queue.clone()).expect("first");
        let invite = Invite { names: vec!["Ada".to_owned(), "Bob".to_owned()] };
        queue.push(&[Envelope::new(&invite).expect("small")]).await.expect("pushes");
        assert_eq!(drain(&*queue, &registry).await.expect("runs").len(), 2, "the invitation and Bob");
        assert_eq!(assert_enqueued::<Greet>(&*queue, |_| true).await.name, "Ada");
        queue.pass(std::time::Duration::from_hours(24));
        assert_eq!(drain(&*queue, &registry).await.expect("runs").len(), 1);
        refute_enqueued::<Greet>(&*queue, |_| true).await;
    }
}
