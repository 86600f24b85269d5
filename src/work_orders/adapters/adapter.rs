//! What every adapter does, and the values it does it with.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use url::Url;

use super::Error;
use crate::base::{Clock, FieldError, Secret};
use crate::outbound::Http;
use crate::work_orders::model::{self, Change, Mapping, Remote, RowError};

/// Speaks with one kind of ticket system. It holds no state: whatever a call needs comes with the [`Connection`].
#[async_trait]
pub trait Adapter: Send + Sync {
    /// Describes the adapter and its settings.
    fn about(&self) -> &'static About;

    /// Returns the fields of tickets that a system with these settings does not have: what is changed of them here stays here.
    fn lacks(&self, settings: &BTreeMap<String, String>) -> Vec<model::Field>;

    /// Returns what is wrong with the settings beyond what [`About::check`] finds.
    fn check(&self, connection: &Connection) -> Vec<FieldError>;

    /// Proves the credentials. Lists of some systems answer strangers too, with nothing: without this proof a wrong password
    /// would look like an empty system.
    ///
    /// # Errors
    /// [`Error`] says what to do next.
    async fn authenticate(&self, connection: &Connection) -> Result<Account, Error>;

    /// Reads one page of the tickets that changed within a window, the earliest change first. `page` is the token of the page before;
    /// none for the first. The end of the window is kept only by adapters that offer [`Adapter::cuts`].
    ///
    /// A ticket may come on two pages. Use [`Walk`](super::Walk) to read them all.
    ///
    /// # Errors
    /// [`Error`] says what to do next.
    async fn list_since(
        &self,
        connection: &Connection,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<Page, Error>;

    /// Finds the changes at which the list from `since` on is cut into about equal parts, each of which can be read by itself: with a
    /// few small requests for each part. `ahead` is what the list said of its length ([`Page::ahead`]). Nothing, if lists of this system have no end
    /// that can be asked for.
    ///
    /// # Errors
    /// [`Error`] says what to do next.
    async fn cuts(
        &self,
        _connection: &Connection,
        _since: Option<DateTime<Utc>>,
        _ahead: u64,
        _parts: u64,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        Ok(Vec::new())
    }

    /// Reads one ticket as it is now; `None` if it is gone.
    ///
    /// Systems say the same of a ticket that is gone and of one that the account may not see, and so does a wrong address: prove
    /// the credentials first, and do not remove anything for this answer alone.
    ///
    /// # Errors
    /// [`Error`] says what to do next.
    async fn detail(&self, connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error>;

    /// Changes one ticket and returns it as it is afterwards. `seen` is when the ticket last changed as far as the caller knows
    /// ([`Remote::updated_at`]): if it has changed since, nothing is done. `None` does not compare.
    ///
    /// Some systems take a change in several requests. What can be known beforehand is asked before the first of them; if a later
    /// one fails all the same, a part is done, and the next attempt finds it as a conflict.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Conflict`], [`Error::Gone`], and as the other calls.
    async fn update(
        &self,
        connection: &Connection,
        external_id: &str,
        change: &Change,
        seen: Option<DateTime<Utc>>,
    ) -> Result<Remote, Error>;
}

/// How to reach one system as somebody.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The name that people gave the system.
    pub name: String,
    /// Where its API is.
    pub api_url: Url,
    /// Who we are there.
    pub username: Option<String>,
    /// An API token, or a personal access token.
    pub api_key: Option<Secret>,
    /// A password.
    pub password: Option<Secret>,
    /// What the adapter wants to know beside that.
    pub settings: BTreeMap<String, String>,
    /// What its words mean, for finding the one that says what we mean.
    pub mapping: Mapping,
    /// The client.
    pub http: Http,
    /// The time, against which a date in `Retry-After` is read.
    pub clock: Clock,
}

impl Connection {
    /// Returns an address below that of the API, which may have a path of its own.
    ///
    /// # Panics
    /// Never: an API address is http or https.
    pub fn url(&self, path: &[&str]) -> Url {
        let mut url = self.api_url.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(path);
        url
    }
}

/// Who we are in a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Account {
    /// The name that the system shows for us.
    pub name: String,
    /// The time zone in which it thinks we live.
    pub time_zone: Option<String>,
}

/// Which changes a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Those at this instant or later; `None` is all.
    pub since: Option<DateTime<Utc>>,
    /// Those before this instant; `None` is all.
    pub until: Option<DateTime<Utc>>,
}

impl From<Option<DateTime<Utc>>> for Window {
    fn from(since: Option<DateTime<Utc>>) -> Self {
        Self { since, until: None }
    }
}

/// Names the next page; only the adapter that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageToken(pub(super) String);

/// A page of tickets.
#[derive(Debug)]
pub struct Page {
    /// The tickets, the earliest change first, and those that could not be read.
    pub tickets: Vec<Result<Remote, RowError>>,
    /// The tickets that the system says are deleted. Only some systems tell.
    pub deleted: Vec<Deleted>,
    /// The next page; `None` on the last.
    pub next: Option<PageToken>,
    /// How many tickets follow on other pages, if the system tells.
    pub ahead: Option<u64>,
}

impl Page {
    /// Counts what is on the page.
    pub(super) fn len(&self) -> usize {
        self.tickets.len() + self.deleted.len()
    }
}

/// A ticket that its system says is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// What named it.
    pub external_id: String,
    /// When, if that can be read. It counts for how far a page reaches, as the date of a ticket does.
    pub at: Option<DateTime<Utc>>,
}

/// An adapter and its settings, for validation, documentation and forms.
#[derive(Debug, Serialize)]
pub struct About {
    /// The value of `system_type`.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// The settings.
    pub fields: &'static [Field],
}

/// One setting.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Its key in requests.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What to enter.
    pub hint: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether it must be given.
    pub required: bool,
}

/// What a setting holds.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A text.
    Text,
    /// An http or https address.
    Url,
    /// A text that is written and never read back.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The settings that every system has columns for.
const COMMON: [&str; 4] = ["api_url", "username", "api_key", "password"];

impl About {
    /// Returns what is wrong with the settings of a system, judged by the description alone.
    pub fn check(&self, connection: &Connection) -> Vec<FieldError> {
        let wrong = |key: &str, message: String| FieldError { pointer: format!("/{key}"), message };
        let own = || self.fields.iter().filter(|field| !COMMON.contains(&field.key));
        let unknown =
            connection.settings.keys().filter(|key| own().all(|field| field.key != key.as_str())).map(|key| {
                let known = own().map(|field| field.key).collect::<Vec<_>>().join(", ");
                wrong(
                    key,
                    format!(
                        "systems of type {} have no such field; beside the common ones they have: {known}",
                        self.id
                    ),
                )
            });
        let misfits = self.fields.iter().filter_map(|field| {
            let value = connection.value(field.key);
            match (&field.kind, value) {
                (_, None) if field.required => Some(wrong(field.key, format!("it is missing: {}", field.hint))),
                (FieldKind::Choice(words), Some(value)) if !words.contains(&value) => {
                    Some(wrong(field.key, format!("{value:?} is not one of: {}", words.join(", "))))
                }
                _ => None,
            }
        });
        unknown.chain(misfits).collect()
    }
}

impl Connection {
    fn value(&self, key: &str) -> Option<&str> {
        match key {
            "api_url" => Some(self.api_url.as_str()),
            "username" => self.username.as_deref(),
            "api_key" => self.api_key.as_ref().map(Secret::expose),
            "password" => self.password.as_ref().map(Secret::expose),
            own => self.settings.get(own).map(String::as_str),
        }
    }
}
