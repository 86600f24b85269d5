//! What many ask for at the same time, served at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Error, Result};

type Serving<B> = Pin<Box<dyn Future<Output = Vec<B>> + Send>>;

/// Serves asks in groups: while one group is served, the next one gathers. Nothing waits for a group to fill, so a lone ask is served
/// at once; and an ask is served by work that begins after it came, so it sees all that was there before. Clones serve together.
pub struct Together<A, B>(Arc<Shared<A, B>>);

struct Shared<A, B> {
    most: usize,
    serve: Box<dyn Fn(Vec<A>) -> Serving<B> + Send + Sync>,
    queue: Mutex<Queue<A, B>>,
}

struct Queue<A, B> {
    waiting: Vec<(A, oneshot::Sender<B>)>,
    is_served: bool,
}

impl<A: Send + 'static, B: Send + 'static> Together<A, B> {
    /// Serves up to `most` asks at once; `serve` answers all that it is given, in their order.
    pub fn new<F>(most: usize, serve: impl Fn(Vec<A>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<B>> + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: Vec::new(), is_served: false });
        Self(Arc::new(Shared { most: most.max(1), serve: Box::new(move |asks| Box::pin(serve(asks))), queue }))
    }

    /// Asks, and waits for the answer. Whoever stops waiting before its group begins has not asked.
    ///
    /// # Errors
    /// [`Error::Internal`] if the serving of the group ended without an answer.
    pub async fn ask(&self, ask: A) -> Result<B> {
        let (answer, answered) = oneshot::channel();
        let begin = {
            let mut queue = self.0.queue();
            queue.waiting.push((ask, answer));
            !std::mem::replace(&mut queue.is_served, true)
        };
        if begin {
            // A task of its own: who asked first may stop waiting, and the others go on.
            tokio::spawn(serve(Attendance { at: self.0.clone(), is_over: false }));
        }
        answered.await.map_err(|gone| Error::internal("a request was given up together with others", gone))
    }
}

impl<A, B> Shared<A, B> {
    fn queue(&self) -> MutexGuard<'_, Queue<A, B>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next group; `None` if nobody waits, and then nobody serves.
    fn next(&self) -> Option<Vec<(A, oneshot::Sender<B>)>> {
        let mut queue = self.queue();
        queue.waiting.retain(|(_, answer)| !answer.is_closed());
        let group: Vec<_> = match queue.waiting.len() {
            0 => Vec::new(),
            waiting => queue.waiting.drain(..waiting.min(self.most)).collect(),
        };
        queue.is_served = !group.is_empty();
        queue.is_served.then_some(group)
    }
}

async fn serve<A: Send + 'static, B: Send + 'static>(mut attendance: Attendance<A, B>) {
    while let Some(group) = attendance.at.next() {
        let (asks, waiting): (Vec<A>, Vec<_>) = group.into_iter().unzip();
        for (answer, waiting) in (attendance.at.serve)(asks).await.into_iter().zip(waiting) {
            // Who has gone needs none.
            let _ = waiting.send(answer);
        }
    }
    attendance.is_over = true;
}

/// Held by whoever serves. One that breaks off, by a panic or with its runtime, leaves nobody waiting for ever: those who wait are told,
/// and the next ask begins anew.
struct Attendance<A, B> {
    at: Arc<Shared<A, B>>,
    is_over: bool,
}

impl<A, B> Drop for Attendance<A, B> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = self.at.queue();
            queue.waiting.clear();
            queue.is_served = false;
        }
    }
}

impl<A, B> Clone for Together<A, B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A, B> fmt::Debug for Together<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("most", &self.0.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with what was asked and the size of the group, as soon as it may.
    fn gated(most: usize, gate: Arc<Semaphore>) -> Together<u32, (u32, usize)> {
        Together::new(most, move |asks: Vec<u32>| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.expect("open").forget();
                let size = asks.len();
                asks.into_iter().map(|ask| (ask, size)).collect()
            }
        })
    }

    #[tokio::test]
    async fn what_comes_while_one_group_is_served_is_the_next_group() {
        let gate = Arc::new(Semaphore::new(0));
        let together = gated(3, gate.clone());
        let first = tokio::spawn({
            let together = together.clone();
            async move { together.ask(0).await }
        });
        while !together.0.queue().is_served || !together.0.queue().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        let others = join_all((1..=5).map(|n| together.ask(n)));
        let release = async { gate.add_permits(9) };
        let (others, ()) = tokio::join!(others, release);
        assert_eq!(first.await.expect("ends").expect("answered"), (0, 1));
        let others: Vec<(u32, usize)> = others.into_iter().collect::<Result<_>>().expect("answered");
        assert_eq!(others, [(1, 3), (2, 3), (3, 3), (4, 2), (5, 2)]);
    }

    #[tokio::test]
    async fn who_stops_waiting_has_not_asked() {
        let gate = Arc::new(Semaphore::new(0));
        let together = gated(9, gate.clone());
        let mut gone = Box::pin(together.ask(1));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
        gate.add_permits(1);
        assert_eq!(together.ask(2).await.expect("answered"), (2, 1));
    }

    #[tokio::test]
    async fn one_that_panics_ends_its_group_only() {
        let calls = AtomicUsize::new(0);
        let together = Together::new(9, move |asks: Vec<u32>| {
            let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                assert!(!is_first, "for the test");
                asks
            }
        });
        assert!(together.ask(1).await.is_err());
        assert_eq!(together.ask(2).await.expect("answered"), 2);
    }
}
