//! Who shows tokens that are nobody's, by address: counted in memory, because it saves work and guards nothing. Nobody guesses 256 bits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::throttle::{Failures, Policy, place_of_address};

/// Wrong tokens from one address, behind which a whole company may sit.
const POLICY: Policy = Policy { free: 100, first: Duration::from_secs(1), longest: Duration::from_mins(1) };

/// Counts beyond so many are of a flood, and are dropped.
const MOST: usize = 10_000;

/// A count is worth nothing after so long.
const STALE: TimeDelta = TimeDelta::minutes(10);

/// What was counted; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Strangers(Arc<Mutex<HashMap<String, Failures>>>);

impl Strangers {
    /// Tells how long an address has to wait; nothing if it may show a token now.
    pub fn wait(&self, address: IpAddr, now: DateTime<Utc>) -> Option<Duration> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        POLICY.wait(*counts.get(&place_of_address(address))?, now)
    }

    /// Counts a token that is nobody's.
    pub fn note(&self, address: IpAddr, now: DateTime<Utc>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST {
            counts.retain(|_, count| now - count.last_at < STALE);
        }
        if counts.len() >= MOST {
            counts.clear();
        }
        let count = counts.entry(place_of_address(address)).or_insert(Failures { failures: 0, last_at: now });
        let so_far = if now - count.last_at < STALE { *count } else { Failures { failures: 0, last_at: now } };
        *count = POLICY.after(so_far, now);
    }

    /// Forgets an address from which somebody came who is known.
    pub fn forget(&self, address: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.is_empty() {
            counts.remove(&place_of_address(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_wrong_tokens_waits_until_a_right_one_or_for_a_while() {
        let strangers = Strangers::default();
        let (now, one, other) = (DateTime::UNIX_EPOCH, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..POLICY.free {
            assert_eq!(strangers.wait(one, now), None);
            strangers.note(one, now);
        }
        assert_eq!(strangers.wait(one, now), Some(Duration::from_secs(1)));
        assert_eq!(strangers.wait(other, now), None);
        strangers.note(one, now);
        assert_eq!(strangers.wait(one, now), Some(Duration::from_secs(2)));
        strangers.note(one, now + STALE);
        assert_eq!(strangers.wait(one, now + STALE), None);
        for _ in 0..POLICY.free {
            strangers.note(one, now + STALE);
        }
        assert!(strangers.wait(one, now + STALE).is_some());
        strangers.forget(one);
        assert_eq!(strangers.wait(one, now + STALE), None);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_than_is_set_aside() {
        let strangers = Strangers::default();
        for n in 0..(MOST as u32 + 10) {
            strangers.note(IpAddr::V4(n.into()), DateTime::UNIX_EPOCH);
        }
        assert!(strangers.0.lock().expect("nobody panicked").len() <= MOST);
    }
}
