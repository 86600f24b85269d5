//! A freeze window: when, whom, and what happens to what is due in it.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calendar::Span;
use crate::base::clock::cut;
use crate::base::{Error, FieldError, Result, TenantId, instant};
use crate::dispatch::words::words;

/// The longest name of a window, and of what it covers.
const MAX_NAME_CHARS: usize = 100;
/// The longest reason.
const MAX_REASON_CHARS: usize = 1_000;
/// The most schedules or kinds that one window names.
const MAX_NAMED: usize = 200;
/// The shortest and the longest opening of a window that recurs.
const MIN_DURATION_MS: i64 = 60_000;
const MAX_DURATION_MS: i64 = 31 * 86_400_000;
/// How many openings of a window that recurs are looked at to see that it ends in between.
const LOOK_AHEAD: usize = 500;

crate::id!(
    /// Identifies one freeze window.
    FreezeId, "freeze window"
);

words!(
    /// What happens to slots that are due in a freeze window.
    Policy {
        /// They are passed over.
        Skip = "skip",
        /// The latest of each schedule fires when the window ends, the others are passed over.
        Defer = "defer",
    }
);

/// A freeze window as somebody writes it. Either `starts_at` and `ends_at`, or `cron` and `duration_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FreezeWindowDraft)]
pub struct Draft {
    /// Its name: one of a tenant.
    pub name: String,
    /// Why there is one.
    pub reason: String,
    /// When it begins; with `cron`, the first instant at which it may open.
    #[serde(default, deserialize_with = "instant::optional")]
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends; with `cron`, the instant from which it opens no more.
    #[serde(default, deserialize_with = "instant::optional")]
    pub ends_at: Option<DateTime<Utc>>,
    /// When it opens again and again: a crontab line of five fields.
    #[serde(default)]
    pub cron: Option<String>,
    /// The time zone in which the line is read; UTC if left out.
    #[serde(default)]
    pub zone: Option<String>,
    /// For how long it opens by its line, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<i64>,
    /// The names of the schedules that it covers. If neither schedules nor kinds are named, it covers everything.
    #[serde(default)]
    pub schedules: Vec<String>,
    /// What kinds of jobs it covers: `approvals` covers `approvals.check_timeouts` and its like.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What happens to slots that are due in it.
    pub policy: Policy,
    /// Whether it counts.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// A freeze window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FreezeWindow {
    /// The window.
    pub id: FreezeId,
    /// Whose it is.
    #[serde(skip)]
    pub tenant_id: TenantId,
    /// What somebody wrote.
    #[serde(flatten)]
    pub draft: Draft,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts the changes.
    pub version: i64,
}

impl Draft {
    /// Checks everything, and brings times to what both databases keep.
    ///
    /// # Errors
    /// [`Error::Invalid`] names each field that is wrong.
    pub(super) fn checked(mut self, now: DateTime<Utc>) -> Result<Self> {
        let mut wrong = Vec::new();
        let mut refuse = |pointer: &str, message: String| {
            wrong.push(FieldError { pointer: pointer.to_owned(), message });
        };
        (self.starts_at, self.ends_at) = (self.starts_at.map(cut), self.ends_at.map(cut));
        let fits = |text: &str, most: usize| {
            !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        if !fits(&self.name, MAX_NAME_CHARS) {
            refuse("/name", format!("a name has 1 to {MAX_NAME_CHARS} characters on one line"));
        }
        if self.reason.trim().is_empty() || self.reason.chars().count() > MAX_REASON_CHARS {
            let cure = "say why schedules rest, for who wonders at night";
            refuse("/reason", format!("a reason has 1 to {MAX_REASON_CHARS} characters: {cure}"));
        }
        for (pointer, names) in [("/schedules", &self.schedules), ("/kinds", &self.kinds)] {
            if names.len() > MAX_NAMED {
                refuse(pointer, format!("a window names at most {MAX_NAMED}: cover a family of kinds, or everything"));
            }
            for (place, _) in names.iter().enumerate().filter(|(_, name)| !fits(name, MAX_NAME_CHARS)) {
                refuse(&format!("{pointer}/{place}"), format!("a name has 1 to {MAX_NAME_CHARS} characters"));
            }
        }
        for (pointer, at) in [("/starts_at", self.starts_at), ("/ends_at", self.ends_at)] {
            // Beyond four digits of the year, times in SQLite would no longer sort as text.
            if at.is_some_and(|at| !(1970..=9999).contains(&at.year())) {
                refuse(pointer, "it is not between the years 1970 and 9999".to_owned());
            }
        }
        if let (Some(from), Some(to)) = (self.starts_at, self.ends_at)
            && to <= from
        {
            refuse("/ends_at", "a window ends after it has begun".to_owned());
        }
        if let Err(Error::Invalid(fields)) = self.check_times(now) {
            wrong.extend(fields);
        }
        if wrong.is_empty() { Ok(self) } else { Err(Error::Invalid(wrong)) }
    }

    fn check_times(&self, now: DateTime<Utc>) -> Result<()> {
        let Some(span) = Span::read(self)?.recurring() else { return Ok(()) };
        let duration_ms = span.duration.num_milliseconds();
        if !(MIN_DURATION_MS..=MAX_DURATION_MS).contains(&duration_ms) {
            return Err(Error::field("/duration_ms", "a window is open for a minute to 31 days at a time".to_owned()));
        }
        let openings = span.line.fires_between(now, now + TimeDelta::days(8 * 366), LOOK_AHEAD);
        if openings.windows(2).any(|two| two[1] - two[0] <= span.duration) {
            let cure = "shorten it, write a line that opens it more rarely, or give starts_at and ends_at";
            return Err(Error::field("/duration_ms", format!("it opens again before it has ended: {cure}")));
        }
        Ok(())
    }

    /// Says whether the window covers a schedule.
    pub(super) fn covers(&self, schedule: &str, kind: &str) -> bool {
        let of_family = |family: &String| {
            let rest = kind.strip_prefix(family.trim_end_matches(['.', '*']));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (self.schedules.is_empty() && self.kinds.is_empty())
            || self.schedules.iter().any(|name| name == schedule)
            || self.kinds.iter().any(of_family)
    }
}
