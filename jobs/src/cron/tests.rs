mod every_zone;
mod marks;
mod nights;

use chrono_tz::America::New_York;
use chrono_tz::Australia::Lord_Howe;
use chrono_tz::Europe::London;
use chrono_tz::Pacific::Apia;
use chrono_tz::{TZ_VARIANTS, UTC};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn schedule(line: &str, zone: Tz) -> Schedule {
    Schedule::parse(line, zone).expect("a valid line")
}

/// The slots after an instant, as the clocks of the zone show them.
fn shown(line: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let slots = schedule(line, zone).fires_between(at(after), DateTime::<Utc>::MAX_UTC, count);
    slots.iter().map(|slot| slot.with_timezone(&zone).format("%a %m-%d %H:%M %:z").to_string()).collect()
}

#[test]
fn lines_fire_when_they_say() {
    for (line, expected) in [
        ("*/20 9-10 * * *", ["Thu 01-01 09:00", "Thu 01-01 09:20", "Thu 01-01 09:40"]),
        ("0 0 * * 0", ["Sun 01-04 00:00", "Sun 01-11 00:00", "Sun 01-18 00:00"]),
        ("0 0 * * 7", ["Sun 01-04 00:00", "Sun 01-11 00:00", "Sun 01-18 00:00"]),
        ("0 0 * * sun", ["Sun 01-04 00:00", "Sun 01-11 00:00", "Sun 01-18 00:00"]),
        ("0 0 * * FRI-SUN", ["Fri 01-02 00:00", "Sat 01-03 00:00", "Sun 01-04 00:00"]),
        ("0 0 * * sun-tue", ["Sun 01-04 00:00", "Mon 01-05 00:00", "Tue 01-06 00:00"]),
        ("0 0 * * 5-7/2", ["Fri 01-02 00:00", "Sun 01-04 00:00", "Fri 01-09 00:00"]),
        ("5 4 1 mar,JUN *", ["Sun 03-01 04:05", "Mon 06-01 04:05", "Mon 03-01 04:05"]),
        ("0 12 10 * 1", ["Mon 01-05 12:00", "Sat 01-10 12:00", "Mon 01-12 12:00"]),
        ("0 12 */10 * 0", ["Sun 01-11 12:00", "Sun 02-01 12:00", "Sun 03-01 12:00"]),
        ("0 0 29 2 *", ["Tue 02-29 00:00", "Sun 02-29 00:00", "Fri 02-29 00:00"]),
        ("@hourly", ["Thu 01-01 01:00", "Thu 01-01 02:00", "Thu 01-01 03:00"]),
        ("@daily", ["Fri 01-02 00:00", "Sat 01-03 00:00", "Sun 01-04 00:00"]),
        ("@weekly", ["Sun 01-04 00:00", "Sun 01-11 00:00", "Sun 01-18 00:00"]),
        ("@monthly", ["Sun 02-01 00:00", "Sun 03-01 00:00", "Wed 04-01 00:00"]),
        ("  @every   1h30m ", ["Thu 01-01 01:30", "Thu 01-01 03:00", "Thu 01-01 04:30"]),
        ("@every 1d", ["Fri 01-02 00:00", "Sat 01-03 00:00", "Sun 01-04 00:00"]),
    ] {
        let expected = expected.map(|slot| format!("{slot} +00:00"));
        assert_eq!(shown(line, UTC, "2026-01-01T00:00:00Z", 3), expected, "{line}");
    }
}

#[test]
fn a_skipped_time_fires_once_at_the_instant_it_would_have_been() {
    // New York: 02:00 to 03:00 does not exist on March 8th.
    assert_eq!(
        shown("30 2 * * *", New_York, "2026-03-07T12:00:00Z", 2),
        ["Sun 03-08 03:30 -04:00", "Mon 03-09 02:30 -04:00"]
    );
    assert_eq!(
        shown("15,45 1-3 * * *", New_York, "2026-03-08T06:20:00Z", 4),
        ["Sun 03-08 01:45 -05:00", "Sun 03-08 03:15 -04:00", "Sun 03-08 03:45 -04:00", "Mon 03-09 01:15 -04:00"]
    );
    // London: 01:00 to 02:00 does not exist on March 29th.
    assert_eq!(
        shown("0 0,1 * * *", London, "2026-03-28T12:00:00Z", 3),
        ["Sun 03-29 00:00 +00:00", "Sun 03-29 02:00 +01:00", "Mon 03-30 00:00 +01:00"]
    );
    // Lord Howe moves its clocks by half an hour: 02:00 to 02:30 does not exist on October 4th.
    assert_eq!(
        shown("15 2 * * *", Lord_Howe, "2026-10-03T00:00:00Z", 2),
        ["Sun 10-04 02:45 +11:00", "Mon 10-05 02:15 +11:00"]
    );
    // Apia left out a whole day.
    assert_eq!(
        shown("0 6 * * *", Apia, "2011-12-29T20:00:00Z", 2),
        ["Sat 12-31 06:00 +14:00", "Sun 01-01 06:00 +14:00"]
    );
}

#[test]
fn a_repeated_time_fires_once_if_it_is_named_and_twice_if_the_line_follows_the_clock() {
    // New York: 01:00 to 02:00 comes twice on November 1st.
    assert_eq!(
        shown("30 1 * * *", New_York, "2026-10-31T12:00:00Z", 2),
        ["Sun 11-01 01:30 -04:00", "Mon 11-02 01:30 -05:00"]
    );
    assert_eq!(
        shown("30 1,2 * * *", New_York, "2026-10-31T12:00:00Z", 3),
        ["Sun 11-01 01:30 -04:00", "Sun 11-01 02:30 -05:00", "Mon 11-02 01:30 -05:00"]
    );
    assert_eq!(
        shown("30 * * * *", New_York, "2026-11-01T05:00:00Z", 3),
        ["Sun 11-01 01:30 -04:00", "Sun 11-01 01:30 -05:00", "Sun 11-01 02:30 -05:00"]
    );
    assert_eq!(
        shown("*/30 1 * * *", London, "2026-10-24T23:30:00Z", 5),
        [
            "Sun 10-25 01:00 +01:00",
            "Sun 10-25 01:30 +01:00",
            "Sun 10-25 01:00 +00:00",
            "Sun 10-25 01:30 +00:00",
            "Mon 10-26 01:00 +00:00"
        ]
    );
    assert_eq!(
        shown("45 1 * * *", Lord_Howe, "2026-04-04T00:00:00Z", 2),
        ["Sun 04-05 01:45 +11:00", "Mon 04-06 01:45 +10:30"]
    );
}

#[test]
fn a_wrong_line_is_refused_with_the_field_and_the_cure() {
    for (line, words) in [
        ("", "0 fields instead of five"),
        ("* * * *", "4 fields"),
        ("0 0 * * * *", "leave out the seconds"),
        ("60 * * * *", "the minute \"60\" is not a number from 0 to 59"),
        ("* 24 * * *", "the hour"),
        ("* * 0 * *", "the day of month"),
        ("* * * 13 *", "the month \"13\" is not a number from 1 to 12 or a name such as feb"),
        ("* * * * monday", "the day of week"),
        ("* * * * 8", "0 to 7"),
        ("*/0 * * * *", "the step \"0\" of the minute"),
        ("5/15 * * * *", "write 5-59/15 or */15"),
        ("0 22-5 * * *", "write 22-23,0-5"),
        ("0 0 L * *", "the day of month \"L\""),
        ("0 0 ? * 1", "the day of month"),
        ("1,,2 * * * *", "the minute \"\""),
        ("*,5 * * * *", "everything already"),
        ("0 0 30 2 *", "no such day"),
        ("@reboot", "@every 5m"),
        ("@every", "@every 5m"),
        ("@every 5", "5m"),
        ("@every 5 minutes", "s, m, h or d"),
        ("@every 0s", "between 1s and 366d"),
        ("@every 99999999999999999999s", "units"),
    ] {
        let error = Schedule::parse(line, UTC).expect_err(line).to_string();
        assert!(error.contains(words), "{line}: {error}");
        assert!(error.contains(&format!("{line:?}")), "it names what was given: {error}");
    }
}

#[test]
fn fires_between_leaves_out_its_start_and_takes_its_end() {
    let hourly = schedule("@hourly", UTC);
    let (from, to) = (at("2026-01-01T01:00:00Z"), at("2026-01-01T04:00:00Z"));
    assert_eq!(hourly.fires_between(from, to, 9).len(), 3);
    assert_eq!(hourly.fires_between(from, to, 2), [at("2026-01-01T02:00:00Z"), at("2026-01-01T03:00:00Z")]);
    assert!(hourly.fires_between(to, from, 9).is_empty());
}

#[test]
fn jitter_is_the_same_for_everybody_and_spreads() {
    let (slot, max) = (at("2026-01-01T00:00:00Z"), Duration::from_secs(30));
    // A changed number here means that two versions would disagree during a deploy.
    assert_eq!(jitter(slot, "work_orders.sync", max), Duration::from_millis(JITTER_OF_SLOT_MS));
    assert_eq!(jitter(slot, "x", Duration::ZERO), Duration::ZERO);
    let minutes = (0..600).map(|n| jitter(slot + TimeDelta::minutes(n), "x", max));
    let late = minutes.filter(|jitter| *jitter > max / 2).count();
    assert!((240..360).contains(&late), "{late} of 600 in the second half");
}

const JITTER_OF_SLOT_MS: u64 = 9_362;

fn any_line() -> impl Strategy<Value = String> {
    let minute = prop_oneof![Just("*".to_owned()), Just("*/7".to_owned()), (0..60u8).prop_map(|n| n.to_string())];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("*/5".to_owned()),
        Just("0-4".to_owned()),
        (0..24u8).prop_map(|n| n.to_string())
    ];
    let day = prop_oneof![3 => Just("*".to_owned()), 1 => (1..29u8).prop_map(|n| n.to_string())];
    let weekday = prop_oneof![3 => Just("*".to_owned()), 1 => (0..8u8).prop_map(|n| n.to_string())];
    (minute, hour, day, weekday).prop_map(|(minute, hour, day, weekday)| format!("{minute} {hour} {day} * {weekday}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn slots_are_strictly_later_and_none_is_passed_over(
        line in any_line(), zone in 0..TZ_VARIANTS.len(), start in 0i64..2_000_000_000, ms in 0u32..1000, step in 1i64..100_000,
    ) {
        let schedule = schedule(&line, TZ_VARIANTS[zone]);
        let after = DateTime::from_timestamp(start, ms * 1_000_000).expect("in range");
        let first = schedule.next_after(after).expect("there is a next");
        prop_assert!(first > after);
        let second = schedule.next_after(first).expect("there is a next");
        prop_assert!(second > first);
        // From anywhere before a slot, that slot or an earlier one is next; from just before it, it is.
        prop_assert_eq!(schedule.next_after(first - TimeDelta::milliseconds(1)), Some(first));
        let between = after + TimeDelta::seconds(step);
        let then = schedule.next_after(between).expect("there is a next");
        prop_assert!(then >= first, "a later look found an earlier slot");
        prop_assert!(between >= first || then == first, "{} passed over {}", then, first);
    }

    #[test]
    fn named_times_fire_once_a_day_in_every_zone(minute in 0..60u8, hour in 0..24u8, zone in 0..TZ_VARIANTS.len(), year in 1971i32..2037) {
        let zone = TZ_VARIANTS[zone];
        let schedule = schedule(&format!("{minute} {hour} * * *"), zone);
        let year_start = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single().expect("exists");
        let slots = schedule.fires_between(year_start(year), year_start(year + 1), 400).len() as i64;
        let days = (year_start(year + 1) - year_start(year)).num_days();
        prop_assert!((days - 1..=days + 1).contains(&slots), "{} {} times in {} days", zone, slots, days);
    }

    #[test]
    fn intervals_are_aligned_to_the_epoch(seconds in 1i64..1_000_000, start in -1_000_000i64..4_000_000_000) {
        let schedule = schedule(&format!("@every {seconds}s"), UTC);
        let after = DateTime::from_timestamp(start, 0).expect("in range");
        let next = schedule.next_after(after).expect("there is a next").timestamp();
        prop_assert_eq!(next % seconds, 0);
        prop_assert!(next > start && next <= start + seconds);
    }
}
