//! What a request says about the settings of a system, and whether that makes sense.

use std::collections::BTreeMap;

use url::Url;

use super::{Mapping, System};
use crate::base::{FieldError, Secret};

/// What stands for a secret in answers; sent back, it means "unchanged".
pub const MASK: &str = "***";

const SYNC_INTERVAL_S: std::ops::RangeInclusive<i64> = 60..=86_400;
const INITIAL_DAYS: std::ops::RangeInclusive<i64> = 0..=36_500;
const MAX_NAME_CHARS: usize = 100;

/// What a request wants of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SecretChange {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Remove it.
    Clear,
    /// Set it.
    Set(Secret),
}

impl SecretChange {
    /// Reads the field of a request: nothing or the mask keeps, an empty text clears.
    pub fn from_field(field: Option<Secret>) -> Self {
        match field {
            None => Self::Keep,
            Some(secret) if secret.expose() == MASK => Self::Keep,
            Some(secret) if secret.expose().is_empty() => Self::Clear,
            Some(secret) => Self::Set(secret),
        }
    }
}

/// The settings that a request gives; what it leaves out stays as it is, or takes its default in a new system.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// The adapter; a new system called like an adapter may leave it out.
    pub system_type: Option<String>,
    /// Where the API is.
    pub api_url: Option<String>,
    /// Who we are there; an empty text clears it.
    pub username: Option<String>,
    /// The API token.
    pub api_key: SecretChange,
    /// The password.
    pub password: SecretChange,
    /// Whether it takes part.
    pub is_active: Option<bool>,
    /// How often, in seconds.
    pub sync_interval: Option<i64>,
    /// How far back the first run looks, in days; 0 is everything.
    pub initial_days: Option<i64>,
    /// What the adapter wants to know; an empty text clears one.
    pub settings: BTreeMap<String, String>,
    /// The words.
    pub mapping: Option<Mapping>,
    /// The version that the caller has seen; `None` does not compare.
    pub version: Option<i64>,
}

impl Draft {
    /// Puts the draft over a system; secrets are not touched, for only the vault can seal them.
    ///
    /// Returns all that is wrong with the settings that every adapter shares.
    pub fn apply(&self, system: &mut System) -> Vec<FieldError> {
        let mut wrong = Vec::new();
        let mut refuse = |pointer: &str, message: String| {
            wrong.push(FieldError { pointer: pointer.to_owned(), message });
        };
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut system.name);
        }
        let chars = system.name.chars().count();
        if !(1..=MAX_NAME_CHARS).contains(&chars) {
            refuse("/name", format!("a name has 1 to {MAX_NAME_CHARS} characters, this has {chars}"));
        }
        if let Some(text) = &self.api_url {
            match site(text) {
                Ok(url) => system.api_url = url,
                Err(message) => refuse("/api_url", message),
            }
        }
        if let Some(username) = &self.username {
            system.username = Some(username.trim().to_owned()).filter(|name| !name.is_empty());
        }
        if let Some(seconds) = self.sync_interval {
            if !SYNC_INTERVAL_S.contains(&seconds) {
                refuse("/sync_interval", format!("{seconds} is not between 60 and 86400 seconds"));
            }
            system.sync_interval = seconds;
        }
        if let Some(days) = self.initial_days {
            if !INITIAL_DAYS.contains(&days) {
                refuse("/initial_days", format!("{days} is not between 0 (everything) and 36500 days"));
            }
            system.initial_days = Some(days).filter(|days| *days > 0);
        }
        system.is_active = self.is_active.unwrap_or(system.is_active);
        for (name, value) in &self.settings {
            if value.is_empty() {
                system.settings.remove(name);
            } else {
                system.settings.insert(name.clone(), value.clone());
            }
        }
        if let Some(mapping) = &self.mapping {
            system.mapping = mapping.clone().normalised();
        }
        wrong
    }
}

/// Reads the address of a system: http or https, without credentials, query or fragment.
fn site(text: &str) -> Result<Url, String> {
    let example = "give an address such as https://jira.example.com";
    let url = Url::parse(text.trim()).map_err(|error| format!("this is not a url ({error}): {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("only http and https are spoken: {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address holds no credentials: give them as username, api_key and password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("an address ends before any '?' or '#': {example}"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::system::tests::system;
    use super::*;

    #[test]
    fn settings_are_checked_each_with_its_place() {
        for (draft, pointer) in [
            (Draft { name: Some(" ".into()), ..Draft::default() }, "/name"),
            (Draft { name: Some("x".repeat(101)), ..Draft::default() }, "/name"),
            (Draft { api_url: Some("jira.example.com".into()), ..Draft::default() }, "/api_url"),
            (Draft { api_url: Some("ftp://jira.example.com".into()), ..Draft::default() }, "/api_url"),
            (Draft { api_url: Some("https://me:secret@jira.example.com".into()), ..Draft::default() }, "/api_url"),
            (Draft { api_url: Some("https://jira.example.com/?x=1".into()), ..Draft::default() }, "/api_url"),
            (Draft { sync_interval: Some(59), ..Draft::default() }, "/sync_interval"),
            (Draft { sync_interval: Some(86_401), ..Draft::default() }, "/sync_interval"),
            (Draft { initial_days: Some(-1), ..Draft::default() }, "/initial_days"),
        ] {
            let wrong = draft.apply(&mut system());
            assert_eq!(wrong.iter().map(|field| field.pointer.as_str()).collect::<Vec<_>>(), [pointer]);
            assert!(!wrong[0].message.contains("secret"), "{}", wrong[0].message);
        }
        assert!(Draft::default().apply(&mut system()).is_empty());
    }

    #[test]
    fn the_mask_keeps_a_secret_and_an_empty_text_clears_it() {
        for (given, expected) in [
            (None, SecretChange::Keep),
            (Some(MASK), SecretChange::Keep),
            (Some(""), SecretChange::Clear),
            (Some("new"), SecretChange::Set(Secret::new("new"))),
        ] {
            assert_eq!(SecretChange::from_field(given.map(Secret::new)), expected, "{given:?}");
        }
    }
}
