//! Which of the slots that are due fire: a pure decision.

use chrono::{DateTime, TimeDelta, Utc};

use super::model::{CatchUp, Overlap};

/// A slot no later than this was not missed.
const IN_TIME: TimeDelta = TimeDelta::seconds(60);

/// A slot and when it fires: the slot plus its jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) slot_at: DateTime<Utc>,
    pub(super) fire_at: DateTime<Utc>,
}

/// What becomes of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Fire,
    Skip(String),
}

/// Decides on due slots, the oldest first. `running` is the job of the slot before, if it has not ended.
pub(super) fn decide(
    due: &[Due],
    now: DateTime<Utc>,
    (catch_up, catch_up_max): (CatchUp, i64),
    (overlap, running): (Overlap, Option<&str>),
) -> Vec<Decision> {
    let in_time = |due: &Due| now - due.fire_at <= IN_TIME;
    let wanted = match catch_up {
        CatchUp::Latest => 1,
        CatchUp::All => usize::try_from(catch_up_max).unwrap_or(0).max(1),
        CatchUp::None => usize::from(due.last().is_some_and(in_time)),
    };
    let passed_over = due.len().saturating_sub(wanted);
    let mut blocked = match overlap {
        Overlap::Allow => None,
        Overlap::Skip => running.map(|job| format!("job {job} of the slot before has not ended")),
    };
    (0..due.len())
        .map(|place| {
            if place < passed_over {
                return Decision::Skip("missed: no scheduler ran in time".to_owned());
            }
            if let Some(reason) = &blocked {
                return Decision::Skip(reason.clone());
            }
            if overlap == Overlap::Skip {
                blocked = Some("the job of the slot before was enqueued at this moment".to_owned());
            }
            Decision::Fire
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(minutes_ago: &[i64], now: DateTime<Utc>) -> Vec<Due> {
        let at = |minutes: &i64| now - TimeDelta::minutes(*minutes);
        minutes_ago.iter().map(|minutes| Due { slot_at: at(minutes), fire_at: at(minutes) }).collect()
    }

    #[test]
    fn policies_decide_which_missed_slots_fire() {
        use CatchUp::{All, Latest, None as Never};
        use Overlap::{Allow, Skip};
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        for (minutes_ago, catch_up, overlap, running, fires) in [
            (vec![0], (Latest, 1), Skip, None, vec![true]),
            (vec![0], (Latest, 1), Skip, Some("7"), vec![false]),
            (vec![0], (Latest, 1), Allow, Some("7"), vec![true]),
            (vec![3, 2, 1], (Latest, 1), Skip, None, vec![false, false, true]),
            (vec![3, 2, 1], (All, 2), Allow, None, vec![false, true, true]),
            (vec![3, 2, 1], (All, 2), Skip, None, vec![false, true, false]),
            (vec![3, 2, 1], (All, 99), Allow, None, vec![true, true, true]),
            (vec![3, 2, 1], (Never, 1), Skip, None, vec![false, false, true]),
            (vec![3, 2], (Never, 1), Skip, None, vec![false, false]),
            (vec![], (Latest, 1), Skip, None, vec![]),
        ] {
            let due = slots(&minutes_ago, now);
            let decided: Vec<bool> =
                decide(&due, now, catch_up, (overlap, running)).iter().map(|d| *d == Decision::Fire).collect();
            assert_eq!(decided, fires, "{minutes_ago:?} {catch_up:?} {overlap:?} {running:?}");
        }
    }
}
