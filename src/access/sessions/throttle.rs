//! How long somebody waits who has failed to sign in: pure decisions on counters.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::base::clock::later;

/// What has failed, by one name or from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Failures {
    /// How many attempts in a row.
    pub failures: i64,
    /// When the last one was.
    pub last_at: DateTime<Utc>,
}

/// When failures begin to cost time, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many failures cost nothing: fingers slip.
    pub free: u32,
    /// What the next one costs; each further one costs twice as much.
    pub first: Duration,
    /// The most that one costs.
    pub longest: Duration,
}

/// Failures by one name.
pub const ACCOUNT: Policy = Policy { free: 5, first: Duration::from_secs(5), longest: Duration::from_mins(15) };

/// Failures from one address, behind which a whole office may sit.
pub const ADDRESS: Policy = Policy { free: 30, first: Duration::from_secs(5), longest: Duration::from_mins(15) };

/// After so long without a failure, all is forgotten.
pub(super) const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(1);

impl Policy {
    /// Tells how long to wait until the next attempt; nothing if it may be now.
    pub fn wait(self, so_far: Failures, now: DateTime<Utc>) -> Option<Duration> {
        let beyond = u32::try_from(so_far.failures.max(0)).unwrap_or(u32::MAX).checked_sub(self.free)?;
        let cost = self.first.saturating_mul(2_u32.saturating_pow(beyond.min(31))).min(self.longest);
        (later(so_far.last_at, cost) - now).to_std().ok().filter(|wait| !wait.is_zero())
    }

    /// Counts one more failure; after a day without any, it is the first.
    pub fn after(self, so_far: Failures, now: DateTime<Utc>) -> Failures {
        let forgotten = now - so_far.last_at >= FORGOTTEN_AFTER;
        Failures { failures: if forgotten { 1 } else { so_far.failures.saturating_add(1) }, last_at: now }
    }
}

/// Returns what failures by a name are counted under: a hash, because people type passwords into the wrong field.
pub(super) fn place_of_name(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(name.as_bytes()))
}

/// Returns what failures from an address are counted under: of IPv6 the network, because a host has as many addresses there as it likes.
pub(super) fn place_of_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_free_ones_cost_twice_as_much_each_time() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        for (failures, ago_s, expected_s) in [
            (0, 0, None),
            (4, 0, None),
            (5, 0, Some(5)),
            (5, 4, Some(1)),
            (5, 5, None),
            (6, 0, Some(10)),
            (8, 0, Some(40)),
            (12, 0, Some(640)),
            (13, 0, Some(900)),
            (i64::MAX, 0, Some(900)),
            (i64::MAX, 900, None),
        ] {
            let so_far = Failures { failures, last_at: now - TimeDelta::seconds(ago_s) };
            assert_eq!(ACCOUNT.wait(so_far, now), expected_s.map(Duration::from_secs), "{failures} {ago_s}");
        }
    }

    #[test]
    fn a_day_without_failures_forgets_them() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(10);
        let count = |ago| ACCOUNT.after(Failures { failures: 9, last_at: now - ago }, now);
        assert_eq!(count(TimeDelta::hours(23)), Failures { failures: 10, last_at: now });
        assert_eq!(count(TimeDelta::days(1)), Failures { failures: 1, last_at: now });
    }

    #[test]
    fn a_host_cannot_hide_behind_its_many_addresses() {
        for (address, place) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(place_of_address(address.parse().expect("an address")), place, "{address}");
        }
        assert_eq!(place_of_name("dana").len(), 43);
    }
}
