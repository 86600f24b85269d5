//! What the settings say, judged once for saving and for calls.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use reqwest::header::HeaderName;

use super::template::{Slot, Template};
use crate::base::FieldError;
use crate::work_orders::adapters::Connection;

/// How we say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    None,
    Basic,
    Bearer,
    Header(HeaderName),
}

/// How one page leads to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paging {
    None,
    /// The number of the first.
    Page(usize),
    Offset,
    /// Where the cursor is.
    Cursor(String),
    /// Where the address is; the `Link` header if it is not said.
    Link(Option<String>),
}

/// How `{since}` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinceFormat {
    Rfc3339,
    EpochS,
    EpochMs,
    Date,
}

impl SinceFormat {
    pub(super) fn write(self, at: DateTime<Utc>) -> String {
        match self {
            Self::Rfc3339 => at.to_rfc3339_opts(SecondsFormat::Secs, true),
            Self::EpochS => at.timestamp().to_string(),
            Self::EpochMs => at.timestamp_millis().to_string(),
            Self::Date => at.date_naive().to_string(),
        }
    }

    /// Returns the smallest step of this form.
    pub(super) fn step(self) -> TimeDelta {
        match self {
            Self::Rfc3339 | Self::EpochS => TimeDelta::seconds(1),
            Self::EpochMs => TimeDelta::milliseconds(1),
            Self::Date => TimeDelta::days(1),
        }
    }

    /// Returns the instant that this form can tell, at or before `at`.
    pub(super) fn floor(self, at: DateTime<Utc>) -> DateTime<Utc> {
        let step_ms = self.step().num_milliseconds();
        DateTime::from_timestamp_millis(at.timestamp_millis().div_euclid(step_ms) * step_ms).unwrap_or(at)
    }
}

/// What a due date is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DueFormat {
    Rfc3339,
    Date,
}

impl DueFormat {
    pub(super) fn write(self, at: DateTime<Utc>) -> String {
        match self {
            Self::Rfc3339 => at.to_rfc3339_opts(SecondsFormat::Secs, true),
            Self::Date => NaiveDate::from(at.naive_utc()).to_string(),
        }
    }
}

/// Where the fields of a ticket are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) id: String,
    pub(super) key: Option<String>,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) status: String,
    pub(super) priority: Option<String>,
    pub(super) assignee: Option<String>,
    pub(super) assignee_email: Option<String>,
    pub(super) reporter: Option<String>,
    pub(super) reporter_email: Option<String>,
    pub(super) created: Option<String>,
    pub(super) updated: String,
    pub(super) due: Option<String>,
    pub(super) category: Option<String>,
    pub(super) tags: Option<String>,
    pub(super) url: Option<String>,
    pub(super) deleted: Option<String>,
}

/// All that the settings say.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) auth: Auth,
    pub(super) account: Option<Template>,
    pub(super) account_path: Option<String>,
    pub(super) list: Template,
    pub(super) items: String,
    pub(super) total: Option<String>,
    pub(super) paging: Paging,
    pub(super) page_size: usize,
    pub(super) since: SinceFormat,
    pub(super) detail: Template,
    pub(super) detail_path: String,
    pub(super) update: Option<Template>,
    pub(super) update_method: reqwest::Method,
    pub(super) update_path: String,
    pub(super) places: Places,
    pub(super) due: DueFormat,
    pub(super) status_values: Vec<String>,
    pub(super) priority_values: Vec<String>,
}

/// Reads settings and notes what is wrong with them.
struct Reader<'a> {
    connection: &'a Connection,
    wrong: Vec<FieldError>,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.wrong.push(FieldError { pointer: format!("/{key}"), message: message.into() });
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.connection.settings.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    fn place(&mut self, key: &str) -> Option<String> {
        let text = self.text(key)?.to_owned();
        if !text.starts_with('/') || text.ends_with('/') {
            self.refuse(key, format!("{text:?} is no place in JSON: write it as /data or /fields/status/name"));
            return None;
        }
        Some(text)
    }

    /// What is missing is told by the description of the settings.
    fn needed(&mut self, key: &str) -> String {
        self.place(key).unwrap_or_default()
    }

    fn template(&mut self, key: &str, allowed: &[Slot], needed: &[Slot]) -> Option<Template> {
        let text = self.text(key)?.to_owned();
        let template = match Template::parse(&text, allowed) {
            Ok(template) => template,
            Err(message) => {
                self.refuse(key, message);
                return None;
            }
        };
        for slot in needed.iter().filter(|slot| !template.has(**slot)) {
            self.refuse(key, format!("it has no place {{{0}}}: put {{{0}}} where the value goes", slot.name()));
        }
        Some(template)
    }

    fn number(&mut self, key: &str, range: std::ops::RangeInclusive<usize>, default: usize) -> usize {
        let Some(text) = self.text(key).map(str::to_owned) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.refuse(key, format!("{text:?} is not a number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    fn words(&self, key: &str) -> Vec<String> {
        let words = self.text(key).unwrap_or_default().split(',').map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn auth(&mut self) -> Auth {
        let (user, key) = (self.connection.username.is_some(), self.connection.api_key.is_some());
        let password = self.connection.password.is_some();
        match self.text("auth") {
            Some("basic") => {
                if !user || !(password || key) {
                    self.refuse("username", "auth basic wants a username, and a password or an api_key");
                }
                Auth::Basic
            }
            Some("bearer") => {
                if !key {
                    self.refuse("api_key", "auth bearer wants an api_key");
                }
                Auth::Bearer
            }
            Some("header") => {
                if !key {
                    self.refuse("api_key", "auth header wants an api_key");
                }
                let name = self.text("auth_header").and_then(|name| name.parse().ok());
                let Some(name) = name else {
                    self.refuse("auth_header", "auth header wants the name of a header, such as X-Api-Key");
                    return Auth::None;
                };
                Auth::Header(name)
            }
            _ => Auth::None,
        }
    }

    /// Returns the paging and the place that the list has to have for it.
    fn paging(&mut self) -> (Paging, Option<Slot>) {
        match self.text("paging") {
            Some("page") => (Paging::Page(self.number("first_page", 0..=1, 1)), Some(Slot::Page)),
            Some("offset") => (Paging::Offset, Some(Slot::Offset)),
            Some("cursor") => {
                let place = self.place("cursor_path");
                if self.text("cursor_path").is_none() {
                    self.refuse("cursor_path", "paging cursor wants the place of the next cursor, such as /meta/next");
                }
                (Paging::Cursor(place.unwrap_or_default()), Some(Slot::Cursor))
            }
            Some("link") => (Paging::Link(self.place("next_path")), None),
            _ => (Paging::None, None),
        }
    }
}

impl Plan {
    /// Reads the settings.
    ///
    /// # Errors
    /// All that is wrong with them beyond what their description says.
    pub(super) fn read(connection: &Connection) -> Result<Self, Vec<FieldError>> {
        let mut of = Reader { connection, wrong: Vec::new() };
        let auth = of.auth();
        let (paging, slot) = of.paging();
        let mut allowed = vec![Slot::Since, Slot::Until, Slot::Limit];
        allowed.extend(slot);
        let list = of.template("list_url", &allowed, slot.as_slice());
        let detail = of.template("detail_url", &[Slot::Id], &[Slot::Id]);
        let plan = Self {
            auth,
            account: of.template("account_url", &[], &[]),
            account_path: of.place("account_path"),
            list: list.unwrap_or_else(Template::nothing),
            items: of.needed("items_path"),
            total: of.place("total_path"),
            paging,
            page_size: of.number("page_size", 1..=1_000, 100),
            since: match of.text("since_format") {
                Some("epoch_s") => SinceFormat::EpochS,
                Some("epoch_ms") => SinceFormat::EpochMs,
                Some("date") => SinceFormat::Date,
                _ => SinceFormat::Rfc3339,
            },
            detail: detail.unwrap_or_else(Template::nothing),
            detail_path: of.needed("detail_path"),
            update: of.template("update_url", &[Slot::Id], &[Slot::Id]),
            update_method: match of.text("update_method") {
                Some("PATCH") => reqwest::Method::PATCH,
                Some("POST") => reqwest::Method::POST,
                _ => reqwest::Method::PUT,
            },
            update_path: of.needed("update_path"),
            places: Places {
                id: of.needed("id_path"),
                key: of.place("key_path"),
                title: of.needed("title_path"),
                description: of.place("description_path"),
                status: of.needed("status_path"),
                priority: of.place("priority_path"),
                assignee: of.place("assignee_path"),
                assignee_email: of.place("assignee_email_path"),
                reporter: of.place("reporter_path"),
                reporter_email: of.place("reporter_email_path"),
                created: of.place("created_path"),
                updated: of.needed("updated_path"),
                due: of.place("due_path"),
                category: of.place("category_path"),
                tags: of.place("tags_path"),
                url: of.place("url_path"),
                deleted: of.place("deleted_path"),
            },
            due: if of.text("due_format") == Some("date") { DueFormat::Date } else { DueFormat::Rfc3339 },
            status_values: of.words("status_values"),
            priority_values: of.words("priority_values"),
        };
        if of.wrong.is_empty() { Ok(plan) } else { Err(of.wrong) }
    }
}
