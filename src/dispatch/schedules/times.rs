//! When a schedule fires: its line, its zone, its jitter.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::cron;

use super::plan::Due;
use crate::base::clock::later;
use crate::base::{Error, Result};

/// How many missed slots are remembered one by one.
const KEPT: usize = 100;
/// How far back a schedule that fires often is walked through.
const LOOK_BACK: TimeDelta = TimeDelta::days(1);

/// The slots of one schedule.
#[derive(Debug)]
pub(super) struct Times {
    slots: cron::Schedule,
    seed: String,
    jitter: Duration,
}

impl Times {
    /// Reads the line and the zone; `seed` keeps the jitters of schedules apart.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/cron` or `/zone`.
    pub(super) fn read(line: &str, zone: &str, seed: &str, jitter_ms: i64) -> Result<Self> {
        let zone: chrono_tz::Tz = zone.parse().map_err(|_| {
            Error::field("/zone", format!("{zone:?} is no time zone: it is a name such as UTC or Europe/Berlin"))
        })?;
        let slots = cron::Schedule::parse(line, zone).map_err(|error| Error::field("/cron", error.to_string()))?;
        let jitter = u64::try_from(jitter_ms)
            .map_err(|_| Error::field("/jitter_ms", format!("a jitter of {jitter_ms} ms is negative")))?;
        Ok(Self { slots, seed: seed.to_owned(), jitter: Duration::from_millis(jitter) })
    }

    /// Returns the first slot after an instant.
    pub(super) fn next_after(&self, after: DateTime<Utc>) -> Option<Due> {
        self.slots.next_after(after).map(|slot| self.jittered(slot))
    }

    /// Tells what a change of clocks does to a slot.
    pub(super) fn night(&self, slot_at: DateTime<Utc>) -> Option<cron::Night> {
        self.slots.night(slot_at)
    }

    /// Writes what the clocks of the zone show at an instant.
    pub(super) fn local(&self, instant: DateTime<Utc>) -> String {
        instant.with_timezone(&self.slots.zone()).to_rfc3339()
    }

    /// Returns the slots after an instant that fire by now, the oldest first: the latest [`KEPT`] of them.
    pub(super) fn due(&self, after: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Due> {
        // A minutely schedule after a month of downtime has 43,000 missed slots, and one of them matters.
        let recent = self.walk(after.max(now - LOOK_BACK), now);
        if recent.is_empty() && after < now - LOOK_BACK { self.walk(after, now) } else { recent }
    }

    fn walk(&self, after: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Due> {
        let mut kept = VecDeque::new();
        let mut cursor = after;
        while let Some(due) = self.next_after(cursor).filter(|due| due.fire_at <= now) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            cursor = due.slot_at;
            kept.push_back(due);
        }
        kept.into()
    }

    fn jittered(&self, slot_at: DateTime<Utc>) -> Due {
        let jitter = cron::jitter(slot_at, &self.seed, self.jitter);
        Due { slot_at, fire_at: later(slot_at, jitter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn only_the_latest_missed_slots_are_kept() {
        let times = Times::read("* * * * *", "UTC", "sync", 0).expect("valid");
        let due = times.due(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:30Z"));
        assert_eq!(due.len(), KEPT);
        assert_eq!(due[KEPT - 1].slot_at, at("2026-02-01T00:00:00Z"));
    }

    #[test]
    fn a_rare_slot_is_found_however_long_ago() {
        let times = Times::read("0 0 1 * *", "UTC", "report", 0).expect("valid");
        let due = times.due(at("2026-01-15T00:00:00Z"), at("2026-02-20T00:00:00Z"));
        assert_eq!(due.iter().map(|due| due.slot_at).collect::<Vec<_>>(), [at("2026-02-01T00:00:00Z")]);
    }

    #[test]
    fn jitter_delays_a_slot_and_is_the_same_everywhere() {
        let times = Times::read("0 * * * *", "UTC", "sync", 60_000).expect("valid");
        let due = times.next_after(at("2026-01-01T00:00:00Z")).expect("there is one");
        assert_eq!(due.slot_at, at("2026-01-01T01:00:00Z"));
        assert!(due.fire_at - due.slot_at <= TimeDelta::minutes(1));
        assert_eq!(times.next_after(at("2026-01-01T00:30:00Z")), Some(due));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, zone, jitter_ms, place) in [
            ("99 * * * *", "UTC", 0, "/cron"),
            ("* * * * *", "Mars", 0, "/zone"),
            ("* * * * *", "UTC", -1, "/jitter_ms"),
        ] {
            let error = Times::read(line, zone, "x", jitter_ms).expect_err("wrong").to_string();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
