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

/// Speaks with Zendesk.
pub(crate) struct Zendesk;

static ABOUT: About = About {
    id: "zendesk",
    name: "Zendesk",
    fields: &[
        Field {
            key: "api_url",
            label: "Address",
            hint: "the address of the account, such as https://example.zendesk.com",
            kind: FieldKind::Url,
            required: true,
        },
        Field {
            key: "username",
            label: "E-mail address",
            hint: "the e-mail address of the agent whose API token it is; leave it empty to use an OAuth access token",
            kind: FieldKind::Text,
            required: false,
        },
        Field {
            key: "api_key",
            label: "API token",
            hint: "an API token, or an OAuth access token with the scopes read and write",
            kind: FieldKind::Secret,
            required: true,
        },
    ],
};

#[async_trait]
impl Adapter for Zendesk {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn lacks(&self, _: &BTreeMap<String, String>) -> Vec<model::Field> {
        Vec::new()
    }

    fn check(&self, connection: &Connection) -> Vec<FieldError> {
        let wrong = |key: &str, message: &str| FieldError { pointer: format!("/{key}"), message: message.to_owned() };
        let mut found = Vec::new();
        if connection.password.is_some() {
            found.push(wrong("password", "zendesk takes no passwords any more: clear it and give an api_key"));
        }
        if connection.username.as_deref().is_some_and(|name| !name.contains('@')) {
            found.push(wrong(
                "username",
                "zendesk wants the e-mail address of the agent, or nothing for an OAuth token",
            ));
        }
        found
    }

    async fn authenticate(&self, connection: &Connection) -> Result<Account, Error> {
        let Me { user } =
            fetch(connection, get(connection, connection.url(&["api", "v2", "users", "me.json"]))).await?;
        // Strangers are answered too, as an "Anonymous user" without an id.
        if user.id.is_none() {
            return Err(Error::auth(connection, "it takes us for an anonymous user"));
        }
        Ok(Account { name: user.name, time_zone: user.iana_time_zone })
    }

    async fn list_since(
        &self,
        connection: &Connection,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<Page, Error> {
        search::changed(connection, window.since, page).await
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
    id: Option<u64>,
    #[serde(default)]
    name: String,
    iana_time_zone: Option<String>,
}

/// Begins a GET with the credentials.
pub(super) fn get(connection: &Connection, url: Url) -> RequestBuilder {
    signed(connection, connection.http.get(url))
}

/// Puts the credentials on a request: Basic for an API token, Bearer for an OAuth token.
pub(super) fn signed(connection: &Connection, request: RequestBuilder) -> RequestBuilder {
    match (&connection.username, &connection.api_key) {
        (Some(email), Some(token)) => {
            let email = email.trim_end_matches("/token");
            request.basic_auth(format!("{email}/token"), Some(token.expose()))
        }
        (None, Some(token)) => request.bearer_auth(token.expose()),
        (_, None) => request,
    }
}
