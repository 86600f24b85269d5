//! What the nights on which clocks change do to a slot: pure.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};

use super::{LONGEST_JUMP, Rule, Schedule};

/// Why a slot looks odd on the clocks of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Night {
    /// The clocks skip the time that the line names; the slot is at the instant when it would have been.
    Gap,
    /// The clocks show the time of the slot twice.
    Fold,
}

impl Schedule {
    /// Tells what a change of clocks does to a slot of this schedule; `None` if nothing.
    pub fn night(&self, slot: DateTime<Utc>) -> Option<Night> {
        let shown = slot.with_timezone(&self.zone);
        if self.zone.from_local_datetime(&shown.naive_local()).single().is_none() {
            return Some(Night::Fold);
        }
        // Only a line that names its times has slots for those that are skipped.
        let Rule::Times(cron) = &self.rule else { return None };
        let before = self.zone.offset_from_utc_datetime(&(slot - LONGEST_JUMP).naive_utc()).fix();
        let jump = shown.offset().fix().local_minus_utc() - before.local_minus_utc();
        let named = shown.naive_local() - TimeDelta::seconds(i64::from(jump));
        let is_skipped = jump > 0 && self.zone.from_local_datetime(&named).earliest().is_none();
        let is_named = || cron.find_next_occurrence(&named, true).is_ok_and(|next| next == named);
        (is_skipped && is_named()).then_some(Night::Gap)
    }
}
