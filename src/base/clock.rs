//! Time as an argument: the system's clock, or one that a test moves by hand.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

/// Tells the time and waits for it; clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Manual(Arc<watch::Sender<DateTime<Utc>>>),
}

/// The longest single sleep on the system's clock: a clock that was set forward is noticed after so long.
const LONGEST_NAP: Duration = Duration::from_mins(1);

impl Clock {
    /// Returns the clock of the machine.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Returns a clock that stands still at `start` until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Kind::Manual(Arc::new(watch::Sender::new(cut(start)))))
    }

    /// Returns the instant, cut to the microseconds that both databases keep.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Kind::System => cut(Utc::now()),
            Kind::Manual(now) => *now.borrow(),
        }
    }

    /// Waits until the clock shows `instant` or later.
    pub async fn sleep_until(&self, instant: DateTime<Utc>) {
        match &self.0 {
            Kind::System => loop {
                let Ok(left) = (instant - Utc::now()).to_std() else { return };
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            },
            Kind::Manual(now) => {
                // The sender lives in `self`, so this waits and never fails.
                let _ = now.subscribe().wait_for(|now| *now >= instant).await;
            }
        }
    }

    /// Waits for `duration` on this clock.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(later(self.now(), duration)).await;
    }

    /// Moves a manual clock forward.
    ///
    /// # Panics
    /// On the system's clock: only a test moves time.
    pub fn advance(&self, duration: Duration) {
        self.set(later(self.now(), duration));
    }

    /// Sets a manual clock.
    ///
    /// # Panics
    /// On the system's clock: only a test moves time.
    pub fn set(&self, instant: DateTime<Utc>) {
        match &self.0 {
            Kind::System => panic!("the system's clock cannot be set from here"),
            Kind::Manual(now) => {
                now.send_replace(cut(instant));
            }
        }
    }
}

/// Cuts an instant to microseconds.
pub fn cut(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.trunc_subsecs(6)
}

/// Adds a duration to an instant; the end of time is the most there is.
pub fn later(instant: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| instant.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the instant so many days before another; 1970 is the earliest, because both databases can write it.
pub fn days_before(instant: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    instant.checked_sub_signed(TimeDelta::days(i64::from(days))).unwrap_or_default().max(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_it_passes_them() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let mut nap = std::pin::pin!(clock.sleep(Duration::from_mins(1)));
        assert!(nap.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(59));
        assert!(nap.as_mut().now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!(nap.as_mut().now_or_never().is_some());
    }

    #[test]
    fn time_has_microseconds() {
        let fine = DateTime::from_timestamp(1, 123_456_789).expect("in range");
        assert_eq!(Clock::manual(fine).now().timestamp_subsec_nanos(), 123_456_000);
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn no_number_of_days_is_too_many() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        assert_eq!(days_before(now, 3), DateTime::UNIX_EPOCH + TimeDelta::days(7));
        assert_eq!(days_before(now, u32::MAX), DateTime::UNIX_EPOCH);
    }

    #[test]
    fn later_stops_at_the_end_of_time() {
        assert_eq!(later(DateTime::UNIX_EPOCH, Duration::MAX), DateTime::<Utc>::MAX_UTC);
    }
}
