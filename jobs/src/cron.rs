//! When a schedule fires: pure arithmetic over a crontab line or an interval.
//!
//! A crontab line has the standard five fields (minute, hour, day of month, month, day of week; 0 and 7 are Sunday) and counts on
//! the clocks of its zone. If day of month and day of week are both restricted, either is enough, as cron has always had it.
//!
//! On the nights when clocks change, a line that names its hours and minutes fires once for each: a time that the clocks skip at the
//! instant when it would have been, had they not been moved (02:30 becomes 03:30), a time that they show twice at the first of the
//! two. A line whose minute or hour begins with `*` follows the clock: nothing in the gap, both times in the fold.
//!
//! `@every` counts from 1970 and not from the start of a program, so that any number of schedulers see the same slots.

mod field;
mod night;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use field::FIELDS;
pub use night::Night;

/// A schedule that cannot be read; the text says why and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schedule {given:?} is not valid: {problem}")]
pub struct Invalid {
    given: String,
    problem: String,
}

/// When something is due, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    zone: Tz,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Every so many seconds since 1970.
    Every(i64),
    /// Whenever the clocks show this, also twice.
    Clock(Cron),
    /// Once for each time that the line names.
    Times(Cron),
}

/// No zone has ever skipped or repeated more than a day.
const LONGEST_JUMP: TimeDelta = TimeDelta::hours(25);

impl Schedule {
    /// Reads a crontab line, `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or `@every` with an interval such as 5m or 1h30m.
    ///
    /// # Errors
    /// [`Invalid`] says which field is wrong and what to write instead.
    pub fn parse(expr: &str, zone: Tz) -> Result<Self, Invalid> {
        let text = expr.trim();
        let invalid = |problem| Invalid { given: text.to_owned(), problem };
        let rule = match text.split_once(char::is_whitespace) {
            Some(("@every", interval)) => Rule::Every(seconds(interval.trim()).map_err(invalid)?),
            _ => line(unabbreviated(text).map_err(invalid)?).map_err(invalid)?,
        };
        let schedule = Self { text: text.to_owned(), zone, rule };
        // A leap day may be eight years away; what does not come in that time from here never comes.
        if schedule.next_after(DateTime::UNIX_EPOCH).is_none() {
            return Err(invalid("no such day exists: check day of month against month".to_owned()));
        }
        Ok(schedule)
    }

    /// Returns the line as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the zone whose clocks count.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns the first slot strictly later than `after`; `None` if the calendar ends before.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.rule {
            Rule::Every(seconds) => {
                let slot = after.timestamp().div_euclid(*seconds).checked_add(1)?.checked_mul(*seconds)?;
                DateTime::from_timestamp(slot, 0)
            }
            Rule::Clock(cron) => {
                let local = after.trunc_subsecs(0).with_timezone(&self.zone);
                cron.find_next_occurrence(&local, false).ok().map(|next| next.to_utc())
            }
            Rule::Times(cron) => self.next_time(cron, after),
        }
    }

    /// Returns the slots later than `after` and not later than `until`, the earliest first, at most `max`.
    pub fn fires_between(&self, after: DateTime<Utc>, until: DateTime<Utc>, max: usize) -> Vec<DateTime<Utc>> {
        let mut last = after;
        std::iter::from_fn(|| {
            last = self.next_after(last).filter(|slot| *slot <= until)?;
            Some(last)
        })
        .take(max)
        .collect()
    }

    /// The next of the named times: walks what the clocks ought to show and maps it to instants.
    fn next_time(&self, cron: &Cron, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.trunc_subsecs(0);
        let offset = |at: DateTime<Utc>| self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        let mut shown = after.with_timezone(&self.zone).naive_local();
        // Skipped times fire later than the clocks would have shown them: after a jump, look back over it.
        if offset(after) != offset(after - LONGEST_JUMP) {
            shown -= LONGEST_JUMP;
        }
        let mut best: Option<DateTime<Utc>> = None;
        loop {
            let next = cron.find_next_occurrence(&shown, false).ok();
            let found = best.map(|best| best.with_timezone(&self.zone).naive_local());
            match (next, found) {
                (Some(next), found) if found.is_none_or(|found| next < found) => {
                    let slot = self.instant(next)?;
                    if slot > after && best.is_none_or(|best| slot < best) {
                        best = Some(slot);
                    }
                    shown = next;
                }
                _ => return best,
            }
        }
    }

    /// Maps a time of the zone's clocks to its instant: the first one if they show it twice, and if they skip it, the instant
    /// that it would have been.
    fn instant(&self, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
        if let Some(at) = self.zone.from_local_datetime(&shown).earliest() {
            return Some(at.to_utc());
        }
        let before = (1..=LONGEST_JUMP.num_hours() + 1)
            .find_map(|hours| self.zone.from_local_datetime(&(shown - TimeDelta::hours(hours))).latest())?;
        Some((shown - before.offset().fix()).and_utc())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns how long to wait after a slot: from nothing to `max`, in milliseconds, the same for everybody who asks with the same `seed`.
pub fn jitter(slot: DateTime<Utc>, seed: &str, max: Duration) -> Duration {
    // FNV-1a, and a finish that spreads neighbours; the hashes of std may differ from one program to the next.
    let bytes = seed.bytes().chain(slot.timestamp_millis().to_be_bytes());
    let mut hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let places = u64::try_from(max.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(hash % places)
}

fn unabbreviated(text: &str) -> Result<&str, String> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    Ok(match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => {
            return Err("it is none of @hourly, @daily, @weekly, @monthly, @yearly, or @every with an interval such \
                        as in @every 5m"
                .to_owned());
        }
    })
}

fn line(text: &str) -> Result<Rule, String> {
    let given: Vec<&str> = text.split_whitespace().collect();
    let Ok([minute, hour, day, month, weekday]) = <[&str; 5]>::try_from(given.as_slice()) else {
        let cure = if given.len() == 6 { "leave out the seconds" } else { "as in 30 2 * * 1-5" };
        let count = given.len();
        return Err(format!("it has {count} fields instead of five (minute hour day month weekday): {cure}"));
    };
    let mut fields = Vec::new();
    for (field, text) in FIELDS.iter().zip([minute, hour, day, month, weekday]) {
        fields.push(field.read(text)?);
    }
    // Only a day field that does not begin with '*' counts as restricted, and only two restricted ones make an "or".
    let both = day.starts_with('*') || weekday.starts_with('*');
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).dom_and_dow(both).build();
    let cron = parser.parse(&fields.join(" ")).map_err(|error| error.to_string())?;
    let follows_clock = minute.starts_with('*') || hour.starts_with('*');
    Ok(if follows_clock { Rule::Clock(cron) } else { Rule::Times(cron) })
}

/// Reads an interval such as 5m, 1h30m, 90s, 1d.
fn seconds(interval: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "the interval {interval:?} is not numbers with units: write s, m, h or d after each, as in 90s, 5m, 1h30m, 1d"
        )
    };
    let mut total = 0_i64;
    let mut rest = interval;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(unit_at);
        let factor = match unit.as_bytes().first() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(factor).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
        rest = &unit[1..];
    }
    if !(1..=366 * 86_400).contains(&total) {
        return Err(format!("the interval {interval:?} is not between 1s and 366d"));
    }
    Ok(total)
}
