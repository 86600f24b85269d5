//! Tickets that could not be taken, and when they are asked for once more.

use chrono::{DateTime, TimeDelta, Utc};

/// How often a ticket is read in vain before it is given up: about a week.
pub const MAX_TRIES: i64 = 12;

const FIRST_WAIT: TimeDelta = TimeDelta::minutes(5);
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(24);

/// A ticket that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Failure {
    /// Which, as far as that can be told.
    pub external_id: String,
    /// Why, the last time.
    pub reason: String,
    /// How often it was read in vain.
    pub tries: i64,
    /// When that was first seen.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen_at: DateTime<Utc>,
    /// When it is asked for once more; `None` once it is given up.
    pub next_try_at: Option<DateTime<Utc>>,
}

/// Returns when a ticket that was read in vain so many times is asked for once more: after 5 minutes, then each time three times as
/// long, up to a day. `None`: it is given up.
pub fn next_try(tries: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if tries >= MAX_TRIES {
        return None;
    }
    // More than six times three is more than a day.
    let factor = 3_i32.pow(u32::try_from(tries.clamp(1, 7) - 1).unwrap_or_default());
    Some(now + (FIRST_WAIT * factor).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_asked_for_less_and_less_often_and_then_given_up() {
        let now = DateTime::UNIX_EPOCH;
        for (tries, minutes) in [
            (0, Some(5)),
            (1, Some(5)),
            (2, Some(15)),
            (3, Some(45)),
            (6, Some(1_215)),
            (7, Some(1_440)),
            (MAX_TRIES - 1, Some(1_440)),
            (MAX_TRIES, None),
            (i64::MAX, None),
        ] {
            assert_eq!(next_try(tries, now), minutes.map(|minutes| now + TimeDelta::minutes(minutes)), "{tries}");
        }
    }
}
