//! What a check found.

use deskhand_jobs::outcome;
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    Bad,
}

impl Level {
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "WARN",
            Self::Bad => "BAD",
        }
    }
}

/// One line of the doctor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) part: &'static str,
    pub(super) level: Level,
    /// Whether it works; what a script asks.
    pub(super) ok: bool,
    pub(super) detail: String,
    pub(super) cure: Option<String>,
}

impl Finding {
    fn new(part: &'static str, level: Level, detail: String, cure: Option<String>) -> Self {
        Self { part, level, ok: level != Level::Bad, detail, cure }
    }

    pub(super) fn ok(part: &'static str, detail: impl Into<String>) -> Self {
        Self::new(part, Level::Ok, detail.into(), None)
    }

    pub(super) fn warn(part: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(part, Level::Warn, detail.into(), Some(cure.into()))
    }

    pub(super) fn bad(part: &'static str, detail: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(part, Level::Bad, detail.into(), Some(cure.into()))
    }

    /// An error of ours names its cure itself.
    pub(super) fn failed(part: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(part, Level::Bad, outcome::chain(error), None)
    }
}
