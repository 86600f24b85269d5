//! The breaker: a field that two programs set against each other, one here and one there, is left alone for a while.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Field, Side};

/// How long a swing is remembered.
const MEMORY: TimeDelta = TimeDelta::hours(1);
/// How often within that time the system may undo what we wrote before we stop writing it.
const MOST_UNDONE: usize = 3;
/// The most that is remembered of a field.
const MAX_SWINGS: usize = 16;

/// One change of a field that both sides set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swing {
    /// Who set it.
    pub side: Side,
    /// When we saw it.
    pub at: DateTime<Utc>,
}

/// The latest swings of each field, the earliest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Swings(BTreeMap<Field, Vec<Swing>>);

impl Swings {
    /// Says whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that a side set a field. What the system sets counts only after we did: people work there all day.
    pub fn note(&mut self, field: Field, side: Side, now: DateTime<Utc>) {
        self.forget(now);
        let swings = self.0.entry(field).or_default();
        let follows = swings.last().map(|last| last.side);
        if follows != Some(side) && (side == Side::Here || follows.is_some()) {
            swings.push(Swing { side, at: now });
        }
        let surplus = swings.len().saturating_sub(MAX_SWINGS);
        swings.drain(..surplus);
        self.forget(now);
    }

    /// Returns how often the system has undone what we wrote, and until when we do not write the field for that.
    pub fn held(&self, field: Field, now: DateTime<Utc>) -> Option<(usize, DateTime<Utc>)> {
        let swings = self.0.get(&field)?.iter();
        let undone: Vec<_> = swings.filter(|swing| swing.side == Side::There && now - swing.at < MEMORY).collect();
        // It is written again when so many are forgotten that the rest is allowed.
        let last = undone.len().checked_sub(MOST_UNDONE + 1)?;
        Some((undone.len(), undone[last].at + MEMORY))
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, swings| {
            swings.retain(|swing| now - swing.at < MEMORY);
            !swings.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_field_that_is_undone_too_often_is_left_alone_until_that_is_an_hour_ago() {
        let mut swings = Swings::default();
        for round in 0..4 {
            assert_eq!(swings.held(Field::Status, at(round * 10)), None, "round {round}");
            swings.note(Field::Status, Side::Here, at(round * 10));
            swings.note(Field::Status, Side::There, at(round * 10 + 1));
        }
        assert_eq!(swings.held(Field::Status, at(31)), Some((4, at(61))));
        assert_eq!(swings.held(Field::Status, at(60)), Some((4, at(61))));
        assert_eq!(swings.held(Field::Status, at(61)), None);
        assert_eq!(swings.held(Field::Title, at(31)), None, "the other fields are free");
    }

    #[test]
    fn people_who_work_there_are_no_swings() {
        let mut swings = Swings::default();
        for minute in 0..50 {
            swings.note(Field::Status, Side::There, at(minute));
        }
        assert!(swings.is_empty());
        swings.note(Field::Status, Side::Here, at(50));
        for minute in 51..59 {
            swings.note(Field::Status, Side::There, at(minute));
        }
        assert_eq!(swings.held(Field::Status, at(59)), None, "one answer, however often it is repeated");
    }

    proptest! {
        /// Whatever happens, little is remembered, nothing beyond an hour, and a hold always ends.
        #[test]
        fn it_forgets(steps in proptest::collection::vec((any::<bool>(), 0i64..20), 0..80)) {
            let (mut swings, mut now) = (Swings::default(), at(0));
            for (here, minutes) in steps {
                now += TimeDelta::minutes(minutes);
                swings.note(Field::Priority, if here { Side::Here } else { Side::There }, now);
                let kept = swings.0.get(&Field::Priority).map_or(0, Vec::len);
                prop_assert!(kept <= MAX_SWINGS);
                if let Some((undone, until)) = swings.held(Field::Priority, now) {
                    prop_assert!(undone > MOST_UNDONE && until > now && until <= now + MEMORY);
                    prop_assert_eq!(swings.held(Field::Priority, until), None);
                }
            }
            prop_assert_eq!(swings.held(Field::Priority, now + MEMORY), None);
        }
    }
}
