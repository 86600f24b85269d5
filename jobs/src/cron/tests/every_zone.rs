//! Every zone of the tz database, around the changes of its clocks, against an enumeration of all minutes: slower than the search
//! of a schedule by far, and simple enough to be believed.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};

use super::*;

/// Years with odd rules in many zones (double summer time, abolished and moved days), the present, and the end of the tables.
const YEARS: [i32; 6] = [1972, 1981, 1995, 2011, 2026, 2037];

/// Names hours and minutes: each named time once.
const NAMED: [&str; 3] = ["30 2 * * *", "0,20,45 0-3 * * *", "15 0,1,23 * * 0,6"];

/// Follows the clock.
const FOLLOWING: [&str; 4] = ["*/5 * * * *", "59 * * * *", "7 */2 * * *", "*/20 0-3 * * *"];

fn offset_s(zone: Tz, at_s: i64) -> i64 {
    let at = DateTime::from_timestamp(at_s, 0).expect("in range");
    i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
}

/// The instants of a year at which a zone's clocks are moved.
fn changes(zone: Tz, year: i32) -> Vec<i64> {
    const STEP_S: i64 = 5 * 86_400;
    let start = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single().expect("exists").timestamp();
    let mut found = Vec::new();
    let (mut at, end) = (start(year), start(year + 1));
    while at < end {
        let (mut low, mut high) = (at, at + STEP_S);
        if offset_s(zone, low) != offset_s(zone, high) {
            while high - low > 1 {
                let middle = i64::midpoint(low, high);
                if offset_s(zone, middle) == offset_s(zone, low) { low = middle } else { high = middle }
            }
            found.push(high);
        }
        at += STEP_S;
    }
    found
}

/// A line of the tests above, read anew: sets instead of a parser.
struct Fields {
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    weekdays: BTreeSet<u32>,
}

fn set(field: &str, end: u32) -> BTreeSet<u32> {
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let mut set = BTreeSet::new();
    for part in field.split(',') {
        match (part.split_once('/'), part.split_once('-')) {
            (Some((_, step)), _) => set.extend((0..end).step_by(number(step) as usize)),
            (_, Some((first, last))) => set.extend(number(first)..=number(last)),
            _ if part == "*" => set.extend(0..end),
            _ => drop(set.insert(number(part))),
        }
    }
    set
}

impl Fields {
    fn of(line: &str) -> Self {
        let fields: Vec<&str> = line.split(' ').collect();
        Self { minutes: set(fields[0], 60), hours: set(fields[1], 24), weekdays: set(fields[4], 7) }
    }

    fn match_shown(&self, shown: NaiveDateTime) -> bool {
        shown.second() == 0
            && self.minutes.contains(&shown.minute())
            && self.hours.contains(&shown.hour())
            && self.weekdays.contains(&shown.weekday().num_days_from_sunday())
    }
}

fn shown_at(at_s: i64) -> NaiveDateTime {
    DateTime::from_timestamp(at_s, 0).expect("in range").naive_utc()
}

/// All instants of a span, as minutes of the zone's clocks, at which they show what the line says.
fn follow(fields: &Fields, zone: Tz, from_s: i64, until_s: i64) -> BTreeSet<i64> {
    let mut slots = BTreeSet::new();
    let mut at = from_s + 1;
    while at <= until_s {
        let shown_s = at + offset_s(zone, at);
        if fields.match_shown(shown_at(shown_s)) {
            slots.insert(at);
        }
        // To the next full minute of the clocks, which a change may move: one look per second where offsets are not of full minutes.
        at += if offset_s(zone, at) % 60 == 0 && offset_s(zone, at + 60) % 60 == 0 {
            60 - shown_s.rem_euclid(60)
        } else {
            1
        };
    }
    slots
}

/// The instants of all minutes that the line names, each once; the change of the clocks is where the offset goes from the first
/// to the second.
fn name(fields: &Fields, (change_s, before_s, after_s): (i64, i64, i64), from_s: i64, until_s: i64) -> BTreeSet<i64> {
    let mut slots = BTreeSet::new();
    let (first, last) = (from_s + before_s.min(after_s), until_s + before_s.max(after_s));
    for shown_s in (first.div_euclid(60)..=last.div_euclid(60)).map(|minute| minute * 60) {
        if fields.match_shown(shown_at(shown_s)) {
            let (early, late) = (shown_s - before_s, shown_s - after_s);
            // Shown before the change, or never: then the instant that it would have been.
            let at = if early < change_s || late < change_s { early } else { late };
            if at > from_s && at <= until_s {
                slots.insert(at);
            }
        }
    }
    slots
}

fn instant(at_s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at_s, 0).expect("in range")
}

fn compare(line: &str, zone: Tz, from_s: i64, until_s: i64, expected: &BTreeSet<i64>) {
    let found = schedule(line, zone).fires_between(instant(from_s), instant(until_s), 10_000);
    let expected: Vec<_> = expected.iter().map(|at_s| instant(*at_s)).collect();
    assert_eq!(found, expected, "{line} in {zone} from {} to {}", instant(from_s), instant(until_s));
}

#[test]
fn in_every_zone_each_change_of_the_clocks_is_crossed_as_it_is_written() {
    let mut crossed = 0;
    for zone in TZ_VARIANTS {
        for change_s in YEARS.iter().flat_map(|year| changes(zone, *year)) {
            let (before_s, after_s) = (offset_s(zone, change_s - 1), offset_s(zone, change_s));
            let size_s = (after_s - before_s).abs();
            let (from_s, until_s) = (change_s - size_s - 3_000, change_s + size_s + 3_000);
            // By turns, for the sake of time; the next zone of the same rules gets another line.
            let (named, following) = (NAMED[crossed % NAMED.len()], FOLLOWING[crossed % FOLLOWING.len()]);
            crossed += 1;
            let slots = name(&Fields::of(named), (change_s, before_s, after_s), from_s, until_s);
            compare(named, zone, from_s, until_s, &slots);
            compare(following, zone, from_s, until_s, &follow(&Fields::of(following), zone, from_s, until_s));
        }
    }
    assert!(crossed > 1_500, "only {crossed} changes were found");
}

#[test]
fn from_1970_to_2100_every_zone_has_a_next_slot_that_the_line_names() {
    const STEP_S: i64 = 5_000 * 86_400 + 12_345;
    let last_s = Utc.with_ymd_and_hms(2100, 1, 1, 0, 0, 0).single().expect("exists").timestamp();
    for (nth, zone) in TZ_VARIANTS.into_iter().enumerate() {
        for line in NAMED.iter().chain(&FOLLOWING) {
            let (schedule, fields) = (schedule(line, zone), Fields::of(line));
            for after_s in (nth as i64 * 86_399..last_s).step_by(STEP_S as usize) {
                let slots: Vec<_> = schedule.fires_between(instant(after_s), instant(after_s + 40 * 86_400), 2);
                let mut walked = instant(after_s);
                for slot in &slots {
                    let next = schedule.next_after(walked).expect("the calendar goes on");
                    assert!(next == *slot && next > walked, "{line} in {zone} after {walked}: {next}");
                    let at_s = next.timestamp();
                    // In a gap the clocks show something else; they would have shown it with the offset that held before.
                    let moved = [0, 3 * 3_600, 25 * 3_600].map(|ago_s| shown_at(at_s + offset_s(zone, at_s - ago_s)));
                    assert!(moved.iter().any(|shown| fields.match_shown(*shown)), "{line} in {zone}: {next}");
                    walked = next;
                }
                assert_eq!(slots.len(), 2, "{line} in {zone} after {}", instant(after_s));
            }
        }
    }
}
