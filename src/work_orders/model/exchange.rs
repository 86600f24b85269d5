//! What stands between a ticket and its system: changes made here that are not there yet, fields that both sides changed, and what
//! became of the last attempt to take the changes there.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::swings::Swings;
use super::words::words;
use super::{Content, Edits, Field, Side};
use crate::base::FieldError;

/// A change made here that the system does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What the system last said of the field.
    pub base: Value,
    /// Who changed it.
    pub by: String,
    /// When.
    pub since: DateTime<Utc>,
    /// Whether an update takes it to the system. What does not travel is ours alone. Changes of before this was noted do not say.
    #[serde(default)]
    pub travels: Option<bool>,
}

impl Pending {
    /// Says whether an update takes the change of a field to the system.
    pub fn travels(&self, field: Field) -> bool {
        self.travels.unwrap_or(!matches!(field, Field::Category | Field::Tags))
    }
}

/// A field that both sides changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    /// What was said here.
    pub here: Value,
    /// What the system said.
    pub there: Value,
    /// Whose word was kept.
    pub kept: Side,
    /// When it was seen.
    pub at: DateTime<Utc>,
}

words!(
    /// How taking changes to the system stands.
    #[schema(as = UpdateState)]
    PushState, "state of an update" {
        /// Its job has not ended.
        Waiting = "waiting",
        /// The system has the changes.
        Done = "done",
        /// The system does not take them, and says why.
        Refused = "refused",
        /// The ticket changed there meanwhile, and again when it was tried once more.
        Conflict = "conflict",
        /// The system could not be reached, or something else went wrong.
        Failed = "failed",
    }
);

/// The last attempt to take changes to the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ExternalUpdate)]
pub struct Push {
    /// The job that does it.
    pub job_id: JobId,
    /// How it stands.
    pub state: PushState,
    /// The fields that it took along.
    pub fields: Vec<Field>,
    /// What the system said, and the cure if it is bad news.
    pub messages: Vec<String>,
    /// When somebody asked for it.
    pub asked_at: DateTime<Utc>,
    /// When this was seen.
    pub at: DateTime<Utc>,
    /// Whether somebody asked again while the job was under way.
    #[serde(default)]
    pub again: bool,
}

/// Until when a list that was read before our own update may still come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When the ticket last changed there, after our update.
    pub stamp: DateTime<Utc>,
    /// When we made it.
    pub at: DateTime<Utc>,
}

/// What stands between a ticket and its system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// Changes that the system does not have.
    pub pending: BTreeMap<Field, Pending>,
    /// Fields that both sides changed, until somebody sets them again.
    pub clashes: BTreeMap<Field, Clash>,
    /// What the breaker remembers.
    pub swings: Swings,
    /// The last attempt to take changes there.
    pub push: Option<Push>,
    /// What the last update that the system took left behind.
    pub mark: Option<Mark>,
}

impl Exchange {
    /// Changes a ticket here, of whose fields the system does not take `lacking`. Answers all that is wrong, and then nothing is changed.
    ///
    /// # Errors
    /// What is wrong with the edits, each with its place.
    pub fn edit(
        &mut self,
        content: &mut Content,
        edits: &Edits,
        by: &str,
        lacking: &[Field],
        now: DateTime<Utc>,
    ) -> Result<(), Vec<FieldError>> {
        let mut next = content.clone();
        let (named, wrong) = edits.apply(&mut next);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        for field in named {
            // Who sets a field has seen what both sides made of it.
            self.clashes.remove(&field);
            let (old, new) = (field.of(content), field.of(&next));
            if old == new {
                continue;
            }
            let base = self.pending.remove(&field).map_or(old, |change| change.base);
            if new != base {
                let travels = Some(!lacking.contains(&field));
                self.pending.insert(field, Pending { base, by: by.to_owned(), since: now, travels });
            }
        }
        *content = next;
        Ok(())
    }

    /// Says whether something was changed here that the system ought to have.
    pub fn has_changes(&self) -> bool {
        self.pending.iter().any(|(field, change)| change.travels(*field))
    }

    /// Returns the fields that an update takes along: all that changed here, but for those that are left alone for a while.
    pub fn to_push(&self, now: DateTime<Utc>) -> Vec<Field> {
        let free = |field: Field, change: &Pending| change.travels(field) && self.swings.held(field, now).is_none();
        self.pending.iter().filter(|(field, change)| free(**field, change)).map(|(field, _)| *field).collect()
    }

    /// Says whether nothing is remembered, so that nothing has to be kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
