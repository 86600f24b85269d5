//! Slots on the nights when clocks change are marked.

use chrono_tz::America::New_York;
use chrono_tz::Australia::Lord_Howe;
use chrono_tz::Europe::Berlin;

use super::super::Night::{Fold, Gap};
use super::*;

/// The slots after one instant and not after another: their time on the clocks, and their mark.
fn marks(line: &str, zone: Tz, after: &str, until: &str) -> Vec<(String, Option<super::super::Night>)> {
    let schedule = schedule(line, zone);
    let slots = schedule.fires_between(at(after), at(until), 100);
    slots
        .into_iter()
        .map(|slot| (slot.with_timezone(&zone).format("%d %H:%M").to_string(), schedule.night(slot)))
        .collect()
}

#[test]
fn what_the_clocks_skip_or_show_twice_is_marked() {
    type Marks = &'static [(&'static str, Option<super::super::Night>)];
    let table: [(&str, Tz, &str, &str, Marks); 9] = [
        // 02:00 CET is 03:00 CEST on March 29th.
        (
            "30 2 * * *",
            Berlin,
            "2026-03-28T00:00:00Z",
            "2026-03-30T12:00:00Z",
            &[("28 02:30", None), ("29 03:30", Some(Gap)), ("30 02:30", None)],
        ),
        // The slot at 03:30 is its own and the one that was skipped.
        ("30 2,3 * * *", Berlin, "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z", &[("29 03:30", Some(Gap))]),
        (
            "30 3 * * *",
            Berlin,
            "2026-03-29T00:00:00Z",
            "2026-03-30T12:00:00Z",
            &[("29 03:30", None), ("30 03:30", None)],
        ),
        (
            "30 * * * *",
            Berlin,
            "2026-03-29T00:00:00Z",
            "2026-03-29T02:00:00Z",
            &[("29 01:30", None), ("29 03:30", None)],
        ),
        // 03:00 CEST is 02:00 CET on October 25th.
        (
            "30 2 * * *",
            Berlin,
            "2026-10-24T00:00:00Z",
            "2026-10-26T12:00:00Z",
            &[("24 02:30", None), ("25 02:30", Some(Fold)), ("26 02:30", None)],
        ),
        (
            "*/30 2 * * *",
            Berlin,
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            &[("25 02:30", Some(Fold)), ("25 02:00", Some(Fold)), ("25 02:30", Some(Fold))],
        ),
        // 02:00 +10:30 is 02:30 +11:00 on October 4th.
        ("15 2 * * *", Lord_Howe, "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z", &[("04 02:45", Some(Gap))]),
        // 02:00 +11:00 is 01:30 +10:30 on April 5th.
        ("45 1 * * *", Lord_Howe, "2026-04-04T00:00:00Z", "2026-04-05T12:00:00Z", &[("05 01:45", Some(Fold))]),
        (
            "@every 1h",
            New_York,
            "2026-03-08T05:30:00Z",
            "2026-03-08T08:00:00Z",
            &[("08 01:00", None), ("08 03:00", None), ("08 04:00", None)],
        ),
    ];
    for (line, zone, after, until, expected) in table {
        let found = marks(line, zone, after, until);
        let found: Vec<(&str, _)> = found.iter().map(|(shown, mark)| (shown.as_str(), *mark)).collect();
        assert_eq!(found, expected, "{line} in {zone}");
    }
}
