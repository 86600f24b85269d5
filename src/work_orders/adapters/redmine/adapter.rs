//! The adapter: settings and credentials.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use serde::Deserialize;
use url::Url;

use super::{search, update};
use crate::base::FieldError;
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{
    About, Account, Adapter, Connection, Error, Field, FieldKind, Page, PageToken, Window,
};
use crate::work_orders::model::{self, Change, Remote};

/// Speaks with Redmine.
pub(crate) struct Redmine;

static ABOUT: About = About {
    id: "redmine",
    name: "Redmine",
    fields: &[
        Field {
            key: "api_url",
            label: "Address",
            hint: "the address of the site, such as https://redmine.example.com, or https://example.com/redmine",
            kind: FieldKind::Url,
            required: true,
        },
        Field {
            key: "api_key",
            label: "API access key",
            hint: "the API access key on the page \"My account\" of the account; REST has to be enabled in the administration",
            kind: FieldKind::Secret,
            required: true,
        },
    ],
};

#[async_trait]
impl Adapter for Redmine {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn lacks(&self, _: &BTreeMap<String, String>) -> Vec<model::Field> {
        vec![model::Field::Tags]
    }

    fn check(&self, connection: &Connection) -> Vec<FieldError> {
        // A header takes no line breaks, and a key has none.
        let usable = |key: &str| key.chars().all(|letter| letter.is_ascii_graphic());
        if connection.api_key.as_ref().is_some_and(|key| !usable(key.expose())) {
            let message = "an API access key has letters and digits only: copy it again".to_owned();
            return vec![FieldError { pointer: "/api_key".to_owned(), message }];
        }
        Vec::new()
    }

    async fn authenticate(&self, connection: &Connection) -> Result<Account, Error> {
        let Me { user } = fetch(connection, get(connection, connection.url(&["users", "current.json"]))).await?;
        Ok(Account { name: format!("{} {}", user.firstname, user.lastname).trim().to_owned(), time_zone: None })
    }

    async fn list_since(
        &self,
        connection: &Connection,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<Page, Error> {
        search::changed(connection, window, page).await
    }

    async fn cuts(
        &self,
        connection: &Connection,
        since: Option<DateTime<Utc>>,
        ahead: u64,
        parts: u64,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        search::cuts(connection, since, ahead, parts).await
    }

    async fn detail(&self, connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error> {
        update::read(connection, external_id).await
    }

    async fn update(
        &self,
        connection: &Connection,
        external_id: &str,
        change: &Change,
        seen: Option<DateTime<Utc>>,
    ) -> Result<Remote, Error> {
        update::write(connection, external_id, change, seen).await
    }
}

#[derive(Deserialize)]
struct Me {
    user: User,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    firstname: String,
    #[serde(default)]
    lastname: String,
}

/// Begins a GET with the credentials.
pub(super) fn get(connection: &Connection, url: Url) -> RequestBuilder {
    signed(connection, connection.http.get(url))
}

/// Puts the credentials on a request.
pub(super) fn signed(connection: &Connection, request: RequestBuilder) -> RequestBuilder {
    match &connection.api_key {
        Some(key) => request.header("X-Redmine-API-Key", key.expose()),
        None => request,
    }
}
