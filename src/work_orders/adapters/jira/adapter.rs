//! The adapter: settings, credentials, and which API is spoken where.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::RequestBuilder;
use serde::Deserialize;
use url::Url;

use super::{counts, search, update};
use crate::base::{FieldError, Secret};
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{
    About, Account, Adapter, Connection, Error, Field, FieldKind, Page, PageToken, Window,
};
use crate::work_orders::model::{self, Change, Remote};

/// Speaks with Jira.
pub(crate) struct Jira;

static ABOUT: About = About {
    id: "jira",
    name: "Jira",
    fields: &[
        Field {
            key: "api_url",
            label: "Address",
            hint: "the address of the site, such as https://example.atlassian.net or https://jira.example.com/jira",
            kind: FieldKind::Url,
            required: true,
        },
        Field {
            key: "deployment",
            label: "Deployment",
            hint: "cloud or server (Data Center and Server); left out, *.atlassian.net is cloud and all else server",
            kind: FieldKind::Choice(&["cloud", "server"]),
            required: false,
        },
        Field {
            key: "username",
            label: "User name",
            hint: "the e-mail address of the account on Cloud; leave it empty to use a personal access token on Data Center",
            kind: FieldKind::Text,
            required: false,
        },
        Field {
            key: "api_key",
            label: "API token",
            hint: "the API token of the account on Cloud, or a personal access token on Data Center",
            kind: FieldKind::Secret,
            required: false,
        },
        Field {
            key: "password",
            label: "Password",
            hint: "the password of the account on Data Center",
            kind: FieldKind::Secret,
            required: false,
        },
    ],
};

/// Which of the two APIs a site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deployment {
    /// REST v3 with page tokens.
    Cloud,
    /// REST v2 with offsets.
    Server,
}

impl Deployment {
    pub(super) fn of(connection: &Connection) -> Self {
        match connection.settings.get("deployment").map(String::as_str) {
            Some("cloud") => Self::Cloud,
            None if connection.api_url.host_str().is_some_and(|host| host.ends_with(".atlassian.net")) => Self::Cloud,
            _ => Self::Server,
        }
    }

    pub(super) fn api(self) -> &'static str {
        match self {
            Self::Cloud => "3",
            Self::Server => "2",
        }
    }
}

#[async_trait]
impl Adapter for Jira {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn lacks(&self, _: &BTreeMap<String, String>) -> Vec<model::Field> {
        Vec::new()
    }

    fn check(&self, connection: &Connection) -> Vec<FieldError> {
        let missing =
            |key: &str, message: &str| vec![FieldError { pointer: format!("/{key}"), message: message.to_owned() }];
        match (connection.username.is_some(), secret(connection).is_some(), Deployment::of(connection)) {
            (_, false, _) => missing("api_key", "no credentials: give an api_key, or a username and a password"),
            (false, true, Deployment::Cloud) => {
                missing("username", "jira cloud wants the e-mail address of the account")
            }
            (false, true, Deployment::Server) if connection.api_key.is_none() => missing(
                "username",
                "a password needs its username; only an api_key (personal access token) goes without",
            ),
            _ => Vec::new(),
        }
    }

    async fn authenticate(&self, connection: &Connection) -> Result<Account, Error> {
        let api = Deployment::of(connection).api();
        let myself: Myself =
            fetch(connection, get(connection, connection.url(&["rest", "api", api, "myself"]))).await?;
        Ok(Account { name: myself.display_name, time_zone: myself.time_zone })
    }

    async fn list_since(
        &self,
        connection: &Connection,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<Page, Error> {
        match Deployment::of(connection) {
            Deployment::Cloud => search::cloud(connection, window, page).await,
            Deployment::Server => search::server(connection, window, page).await,
        }
    }

    async fn cuts(
        &self,
        connection: &Connection,
        since: Option<DateTime<Utc>>,
        ahead: u64,
        parts: u64,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        match Deployment::of(connection) {
            Deployment::Cloud => counts::cuts(connection, since, ahead, parts).await,
            Deployment::Server => search::server_cuts(connection, since, ahead, parts).await,
        }
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
#[serde(rename_all = "camelCase")]
struct Myself {
    #[serde(default)]
    display_name: String,
    time_zone: Option<String>,
}

/// Begins a GET with the credentials.
pub(super) fn get(connection: &Connection, url: Url) -> RequestBuilder {
    signed(connection, connection.http.get(url))
}

/// Puts the credentials on a request: Basic for an account, Bearer for a personal access token.
pub(super) fn signed(connection: &Connection, request: RequestBuilder) -> RequestBuilder {
    match (&connection.username, secret(connection)) {
        (Some(user), Some(secret)) => request.basic_auth(user, Some(secret.expose())),
        (None, Some(token)) => request.bearer_auth(token.expose()),
        (_, None) => request,
    }
}

/// Returns what proves who we are. Cloud takes no passwords any more; on Data Center the password of a user comes first, for a
/// personal access token does not go with Basic.
fn secret(connection: &Connection) -> Option<&Secret> {
    let (first, second) = match (Deployment::of(connection), &connection.username) {
        (Deployment::Server, Some(_)) => (&connection.password, &connection.api_key),
        _ => (&connection.api_key, &connection.password),
    };
    first.as_ref().or(second.as_ref())
}
