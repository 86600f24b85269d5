//! How many jobs a worker takes beyond those that it may run at once: a pure decision.
//!
//! While handlers end faster than the store answers, their places would be empty for most of the time. Then the next jobs are fetched
//! while these run. A job that waits here waits for nobody else, so this is done for short jobs only, and it ends as soon as a
//! handler turns out to be long.

use std::time::{Duration, Instant};

/// Handlers that take longer on average than this fill their places by themselves.
pub(super) const SHORT: Duration = Duration::from_millis(5);

/// How many times as many as may run are fetched beyond them: while some run, two claims are under way.
pub(super) const TIMES: usize = 2;

/// So long nothing is fetched ahead after some had to be given back.
const CAREFUL_FOR: Duration = Duration::from_secs(10);

/// What is known of the past.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    careful_until: Option<Instant>,
}

impl Ahead {
    /// Returns how many jobs to fetch ahead, given how long the longest kind of queue takes on average; `None` if nothing has ended.
    pub(super) fn jobs(&self, places: usize, mean: Option<Duration>, now: Instant) -> usize {
        let careful = self.careful_until.is_some_and(|until| now < until);
        let short = mean.is_some_and(|mean| mean < SHORT);
        if short && !careful { TIMES * places } else { 0 }
    }

    /// Notes that fetched jobs have waited for too long.
    pub(super) fn were_stuck(&mut self, now: Instant) {
        self.careful_until = Some(now + CAREFUL_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_jobs_are_fetched_ahead_and_none_for_a_while_after_some_were_stuck() {
        let (mut ahead, now) = (Ahead::default(), Instant::now());
        let [short, long] = [1, 50].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(ahead.jobs(16, None, now), 0, "nothing is known yet");
        assert_eq!(ahead.jobs(16, long, now), 0);
        assert_eq!(ahead.jobs(16, short, now), 32);
        ahead.were_stuck(now);
        assert_eq!(ahead.jobs(16, short, now + Duration::from_secs(9)), 0);
        assert_eq!(ahead.jobs(16, short, now + Duration::from_secs(10)), 32);
    }
}
