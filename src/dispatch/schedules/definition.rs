//! What a schedule is, whoever writes it: the configuration, or a person.

use deskhand_jobs::{Kind, Registry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::model::{CatchUp, Overlap, Schedule};
use super::times::Times;
use crate::base::{Error, FieldError, Result};

/// What a schedule is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What its jobs do.
    pub kind: String,
    /// Their arguments.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// When it is due: a crontab line of five fields, or `@every 5m` and its like.
    pub cron: String,
    /// The time zone in which the line is read.
    #[serde(default = "utc")]
    pub zone: String,
    /// How long at most a slot is delayed, in milliseconds.
    #[serde(default)]
    pub jitter_ms: u32,
    /// What happens while the last job runs.
    #[serde(default = "skip")]
    pub overlap: Overlap,
    /// What happens to missed slots.
    #[serde(default = "latest")]
    pub catch_up: CatchUp,
    /// How many missed slots fire at most with `catch_up = "all"`.
    #[serde(default = "ten")]
    pub catch_up_max: u32,
    /// `false` switches it off.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn skip() -> Overlap {
    Overlap::Skip
}

fn latest() -> CatchUp {
    CatchUp::Latest
}

fn ten() -> u32 {
    10
}

fn yes() -> bool {
    true
}

/// What somebody changes; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// Other arguments.
    pub args: Option<Map<String, Value>>,
    /// Another line.
    pub cron: Option<String>,
    /// Another zone.
    pub zone: Option<String>,
    /// Another jitter, in milliseconds.
    pub jitter_ms: Option<u32>,
    /// Another overlap.
    pub overlap: Option<Overlap>,
    /// Another way to catch up.
    pub catch_up: Option<CatchUp>,
    /// Another number of slots to catch up with.
    pub catch_up_max: Option<u32>,
    /// On or off.
    pub enabled: Option<bool>,
}

impl Definition {
    /// Makes a definition of which only the necessary is said.
    pub fn new(kind: impl Into<String>, cron: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            args: Map::new(),
            cron: cron.into(),
            zone: utc(),
            jitter_ms: 0,
            overlap: skip(),
            catch_up: latest(),
            catch_up_max: ten(),
            enabled: yes(),
        }
    }

    /// Returns the definition with these changes.
    #[must_use]
    pub fn with(self, edit: Edit) -> Self {
        Self {
            kind: self.kind,
            args: edit.args.unwrap_or(self.args),
            cron: edit.cron.unwrap_or(self.cron),
            zone: edit.zone.unwrap_or(self.zone),
            jitter_ms: edit.jitter_ms.unwrap_or(self.jitter_ms),
            overlap: edit.overlap.unwrap_or(self.overlap),
            catch_up: edit.catch_up.unwrap_or(self.catch_up),
            catch_up_max: edit.catch_up_max.unwrap_or(self.catch_up_max),
            enabled: edit.enabled.unwrap_or(self.enabled),
        }
    }

    /// Reads the definition that a row holds.
    ///
    /// # Errors
    /// [`Error::Internal`] if its arguments are no JSON object.
    pub fn of(schedule: &Schedule) -> Result<Self> {
        let args = serde_json::from_str(&schedule.args).map_err(|error| {
            Error::internal(format!("the arguments of schedule {} cannot be read", schedule.name), error)
        })?;
        let count = |n: i64| u32::try_from(n).unwrap_or_default();
        Ok(Self {
            kind: schedule.kind.clone(),
            args,
            cron: schedule.cron.clone(),
            zone: schedule.zone.clone(),
            jitter_ms: count(schedule.jitter_ms),
            overlap: schedule.overlap,
            catch_up: schedule.catch_up,
            catch_up_max: count(schedule.catch_up_max),
            enabled: schedule.enabled,
        })
    }

    /// Checks that the line, the zone and the jitter can be read.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/cron`, `/zone` or `/jitter_ms`.
    pub fn check_times(&self) -> Result<()> {
        self.times("").map(drop)
    }

    /// Checks everything. A schedule that is switched off may be of a kind that only a later program knows.
    ///
    /// # Errors
    /// [`Error::Invalid`] names each field that is wrong.
    pub fn check(&self, registry: &Registry) -> Result<()> {
        let mut wrong = Vec::new();
        if let Err(Error::Invalid(fields)) = self.check_times() {
            wrong.extend(fields);
        }
        if self.catch_up == CatchUp::All && self.overlap != Overlap::Allow {
            let message = format!(
                "catch_up \"all\" fires several jobs at once and overlap \"{}\" lets only one be: set overlap = \"allow\", \
                 or catch_up = \"latest\"",
                self.overlap
            );
            wrong.push(FieldError { pointer: "/overlap".to_owned(), message });
        }
        if let Err(error) = self.check_job(registry) {
            match error {
                Error::Invalid(fields) => wrong.extend(fields),
                other => return Err(other),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }

    fn check_job(&self, registry: &Registry) -> Result<()> {
        if !self.enabled && !is_known(registry, &self.kind) {
            return Kind::new(self.kind.as_str()).map(drop).map_err(|error| Error::field("/kind", error.to_string()));
        }
        let args = serde_json::to_string(&self.args).and_then(RawValue::from_string);
        let args = args.map_err(|error| Error::field("/args", error.to_string()))?;
        registry.envelope(&self.kind, args).map(drop).map_err(|error| match Error::from(error) {
            Error::Invalid(fields) if fields.iter().any(|field| field.pointer == "/kind") => {
                let cure = "correct it, or leave the schedule switched off until a program that knows the kind runs";
                Error::field("/kind", format!("{}; {cure}", fields[0].message))
            }
            other => other,
        })
    }

    pub(super) fn times(&self, seed: &str) -> Result<Times> {
        Times::read(&self.cron, &self.zone, seed, i64::from(self.jitter_ms))
    }
}

/// Says whether this program knows what jobs of a kind do.
pub fn is_known(registry: &Registry, kind: &str) -> bool {
    registry.kinds().any(|known| known.as_str() == kind)
}
