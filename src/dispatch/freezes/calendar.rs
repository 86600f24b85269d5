//! What the calendar says to one schedule at one instant: pure.

use chrono::{DateTime, TimeDelta, Utc};
use deskhand_jobs::cron;

use super::model::{Draft, FreezeWindow, Policy};
use crate::base::{Error, Result};

/// How many windows that defer are followed from end to beginning; who chains more is told the end of the last of them.
const LONGEST_CHAIN: usize = 100;

/// What a window says of an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dispatch) struct Freeze {
    pub(in crate::dispatch) window: String,
    pub(in crate::dispatch) reason: String,
    pub(in crate::dispatch) policy: Policy,
    /// When schedules may fire again, as far as windows that defer are concerned.
    pub(in crate::dispatch) until: DateTime<Utc>,
}

/// The windows that cover one schedule.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Calendar {
    windows: Vec<Window>,
}

#[derive(Debug)]
struct Window {
    name: String,
    reason: String,
    policy: Policy,
    span: Span,
}

/// When a window is open.
#[derive(Debug)]
pub(super) enum Span {
    Once { from: DateTime<Utc>, to: DateTime<Utc> },
    Again(Box<Recurring>),
}

/// A window that opens whenever a crontab line says.
#[derive(Debug)]
pub(super) struct Recurring {
    pub(super) line: cron::Schedule,
    pub(super) duration: TimeDelta,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Calendar {
    /// Picks the windows that cover a schedule.
    ///
    /// # Errors
    /// [`Error`] if a window cannot be read: then nobody knows whether the schedule may fire.
    pub(in crate::dispatch) fn of(windows: &[FreezeWindow], schedule: &str, kind: &str) -> Result<Self> {
        let covering = windows.iter().filter(|window| window.draft.enabled && window.draft.covers(schedule, kind));
        let read = |window: &FreezeWindow| {
            let draft = &window.draft;
            let span = Span::read(draft)
                .map_err(|error| Error::internal(format!("freeze window {} cannot be read", draft.name), error))?;
            Ok(Window { name: draft.name.clone(), reason: draft.reason.clone(), policy: draft.policy, span })
        };
        Ok(Self { windows: covering.map(read).collect::<Result<_>>()? })
    }

    /// Tells whether the schedule is frozen at an instant. A window that skips wins; of several of a policy, the one that ends last
    /// speaks. Windows that defer are followed: the end of one that lies in another is the end of that one.
    pub(in crate::dispatch) fn at(&self, instant: DateTime<Utc>) -> Option<Freeze> {
        if let Some((window, end)) = self.last_open(Policy::Skip, instant) {
            return Some(window.freeze(end));
        }
        let (window, mut until) = self.last_open(Policy::Defer, instant)?;
        for _ in 0..LONGEST_CHAIN {
            let Some((_, later)) = self.last_open(Policy::Defer, until) else { break };
            until = later;
        }
        Some(window.freeze(until))
    }

    fn last_open(&self, policy: Policy, instant: DateTime<Utc>) -> Option<(&Window, DateTime<Utc>)> {
        let open = self.windows.iter().filter(|window| window.policy == policy);
        open.filter_map(|window| Some((window, window.span.end_at(instant)?)))
            .max_by(|(one, end), (other, other_end)| end.cmp(other_end).then_with(|| other.name.cmp(&one.name)))
    }
}

impl Window {
    fn freeze(&self, until: DateTime<Utc>) -> Freeze {
        Freeze { window: self.name.clone(), reason: self.reason.clone(), policy: self.policy, until }
    }
}

impl Span {
    /// Reads when a window is open.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field that is missing or cannot be read.
    pub(super) fn read(draft: &Draft) -> Result<Self> {
        let Some(line) = &draft.cron else {
            if draft.zone.is_some() || draft.duration_ms.is_some() {
                return Err(Error::field("/cron", "zone and duration_ms belong to a crontab line: give cron as well"));
            }
            let (Some(from), Some(to)) = (draft.starts_at, draft.ends_at) else {
                return Err(Error::field("", "a window has starts_at and ends_at, or cron and duration_ms"));
            };
            return Ok(Self::Once { from, to });
        };
        let zone = draft.zone.as_deref().unwrap_or("UTC");
        let zone: chrono_tz::Tz = zone.parse().map_err(|_| {
            Error::field("/zone", format!("{zone:?} is no time zone: it is a name such as UTC or Europe/Berlin"))
        })?;
        let line = cron::Schedule::parse(line, zone).map_err(|error| Error::field("/cron", error.to_string()))?;
        let missing = || Error::field("/duration_ms", "say for how long the window opens, in milliseconds");
        let duration = TimeDelta::try_milliseconds(draft.duration_ms.ok_or_else(missing)?).ok_or_else(missing)?;
        Ok(Self::Again(Box::new(Recurring { line, duration, from: draft.starts_at, to: draft.ends_at })))
    }

    pub(super) fn recurring(self) -> Option<Recurring> {
        match self {
            Self::Once { .. } => None,
            Self::Again(recurring) => Some(*recurring),
        }
    }

    /// When the window ends, if it is open. Its first instant belongs to it, its end does not.
    fn end_at(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Once { from, to } => (*from <= instant && instant < *to).then_some(*to),
            Self::Again(recurring) => {
                let Recurring { line, duration, from, to } = &**recurring;
                // Checked windows do not open twice in one opening, but for a night on which clocks change.
                let openings = line.fires_between(instant - *duration, instant, 100);
                let counts = |at: &DateTime<Utc>| from.is_none_or(|from| from <= *at) && to.is_none_or(|to| *at < to);
                openings.into_iter().rfind(counts).map(|opened| opened + *duration)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::base::TenantId;
    use crate::dispatch::freezes::FreezeId;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn window(name: &str, fields: &Value) -> FreezeWindow {
        let mut text = json!({"name": name, "reason": "maintenance"});
        for (key, value) in fields.as_object().expect("an object") {
            text[key] = value.clone();
        }
        FreezeWindow {
            id: FreezeId::new(),
            tenant_id: TenantId::default(),
            draft: serde_json::from_value(text).expect("a draft"),
            created_by: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            version: 1,
        }
    }

    fn span(name: &str, policy: &str, from: &str, to: &str) -> FreezeWindow {
        let day = |time: &str| format!("2026-03-01T{time}:00Z");
        window(name, &json!({"policy": policy, "starts_at": day(from), "ends_at": day(to)}))
    }

    #[test]
    fn overlapping_windows_have_one_answer() {
        let windows = [
            span("a", "defer", "10:00", "12:00"),
            span("b", "defer", "11:00", "13:00"),
            span("c", "defer", "13:00", "14:00"),
            span("d", "skip", "11:30", "11:45"),
            span("e", "skip", "20:00", "21:00"),
            span("f", "skip", "20:30", "22:00"),
        ];
        let calendar = Calendar::of(&windows, "mails", "mail.send").expect("reads");
        for (time, expected) in [
            ("09:59", None),
            // Deferred to the end of the chain.
            ("10:00", Some(("a", Policy::Defer, "14:00"))),
            ("11:15", Some(("b", Policy::Defer, "14:00"))),
            // Whoever skips wins.
            ("11:30", Some(("d", Policy::Skip, "11:45"))),
            ("11:45", Some(("b", Policy::Defer, "14:00"))),
            ("13:00", Some(("c", Policy::Defer, "14:00"))),
            ("14:00", None),
            ("20:15", Some(("e", Policy::Skip, "21:00"))),
            ("20:45", Some(("f", Policy::Skip, "22:00"))),
        ] {
            let found = calendar.at(at(&format!("2026-03-01T{time}:00Z")));
            let found = found.map(|freeze| (freeze.window, freeze.policy, freeze.until));
            let expected =
                expected.map(|(name, policy, until)| (name.to_owned(), policy, at(&format!("2026-03-01T{until}:00Z"))));
            assert_eq!(found, expected, "{time}");
        }
    }

    #[test]
    fn a_window_that_recurs_follows_the_clocks_of_its_zone() {
        // From 22:00 to 06:00 as a rule; the night of the change is an hour shorter, the window is not.
        let nights = window(
            "nights",
            &json!({"policy": "skip", "cron": "0 22 * * *", "zone": "Europe/Berlin", "duration_ms": 28_800_000,
                   "starts_at": "2026-03-02T00:00:00Z", "ends_at": "2026-03-31T00:00:00Z"}),
        );
        let calendar = Calendar::of(&[nights], "mails", "mail.send").expect("reads");
        for (instant, frozen_until) in [
            ("2026-03-01T22:00:00Z", None),
            ("2026-03-02T20:59:59Z", None),
            ("2026-03-02T21:00:00Z", Some("2026-03-03T05:00:00Z")),
            ("2026-03-03T04:59:59Z", Some("2026-03-03T05:00:00Z")),
            ("2026-03-03T05:00:00Z", None),
            ("2026-03-28T21:00:00Z", Some("2026-03-29T05:00:00Z")),
            ("2026-03-29T20:00:00Z", Some("2026-03-30T04:00:00Z")),
            ("2026-03-31T20:00:00Z", None),
        ] {
            assert_eq!(calendar.at(at(instant)).map(|freeze| freeze.until), frozen_until.map(at), "{instant}");
        }
    }

    #[test]
    fn a_window_covers_what_it_names() {
        for (fields, covers) in [
            (json!({}), true),
            (json!({"schedules": ["mails"]}), true),
            (json!({"schedules": ["other"]}), false),
            (json!({"kinds": ["mail"]}), true),
            (json!({"kinds": ["mail."]}), true),
            (json!({"kinds": ["mail.send"]}), true),
            (json!({"kinds": ["mai"]}), false),
            (json!({"kinds": ["mail.s"]}), false),
            (json!({"schedules": ["other"], "kinds": ["mail"]}), true),
            (json!({"enabled": false}), false),
        ] {
            let mut window = span("w", "skip", "00:00", "23:00");
            window.draft.schedules = serde_json::from_value(fields["schedules"].clone()).unwrap_or_default();
            window.draft.kinds = serde_json::from_value(fields["kinds"].clone()).unwrap_or_default();
            window.draft.enabled = fields["enabled"] != false;
            let calendar = Calendar::of(&[window], "mails", "mail.send").expect("reads");
            assert_eq!(calendar.at(at("2026-03-01T12:00:00Z")).is_some(), covers, "{fields}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_window_is_named() {
        let now = at("2026-03-01T00:00:00Z");
        let once = json!({"starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-03-02T00:00:00Z"});
        for (fields, place) in [
            (json!({}), "starts_at and ends_at"),
            (json!({"starts_at": once["ends_at"], "ends_at": once["starts_at"]}), "/ends_at"),
            (json!({"starts_at": once["starts_at"]}), "starts_at and ends_at"),
            (json!({"cron": "0 22 * * *"}), "/duration_ms"),
            (json!({"duration_ms": 60_000}), "/cron"),
            (json!({"cron": "0 25 * * *", "duration_ms": 60_000}), "/cron"),
            (json!({"cron": "0 22 * * *", "duration_ms": 60_000, "zone": "Mars"}), "/zone"),
            (json!({"cron": "0 22 * * *", "duration_ms": 59_999}), "a minute to 31 days"),
            (json!({"cron": "0 22 * * *", "duration_ms": 86_400_000}), "before it has ended"),
            (json!({"name": " "}), "/name"),
            (json!({"reason": ""}), "/reason"),
            (json!({"kinds": [""]}), "/kinds/0"),
        ] {
            let mut draft = window("w", &json!({"policy": "skip"})).draft;
            let fields = fields.as_object().expect("an object");
            let has_times = ["starts_at", "cron", "duration_ms"].iter().any(|key| fields.contains_key(*key));
            let mut text = serde_json::to_value(&draft).expect("JSON");
            if !has_times && !fields.is_empty() {
                (text["starts_at"], text["ends_at"]) = (once["starts_at"].clone(), once["ends_at"].clone());
            }
            for (key, value) in fields {
                text[key] = value.clone();
            }
            draft = serde_json::from_value(text).expect("a draft");
            let error = draft.checked(now).expect_err("wrong").to_string();
            assert!(error.contains(place), "{place} in {error}");
        }
    }
}
