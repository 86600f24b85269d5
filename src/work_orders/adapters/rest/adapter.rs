//! The adapter: it reads its settings anew for each call.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::about::ABOUT;
use super::call::{get, plan};
use super::plan::Plan;
use super::{list, update};
use crate::base::FieldError;
use crate::work_orders::adapters::fields::text;
use crate::work_orders::adapters::judge::fetch;
use crate::work_orders::adapters::{About, Account, Adapter, Connection, Error, Page, PageToken, Window};
use crate::work_orders::model::{self, Change, Remote};

/// Speaks with whatever its settings describe.
pub(crate) struct Rest;

#[async_trait]
impl Adapter for Rest {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn lacks(&self, settings: &BTreeMap<String, String>) -> Vec<model::Field> {
        let places = [("category_path", model::Field::Category), ("tags_path", model::Field::Tags)];
        places.into_iter().filter(|(key, _)| !settings.contains_key(*key)).map(|(_, field)| field).collect()
    }

    fn check(&self, connection: &Connection) -> Vec<FieldError> {
        Plan::read(connection).err().unwrap_or_default()
    }

    async fn authenticate(&self, connection: &Connection) -> Result<Account, Error> {
        let plan = plan(connection)?;
        if let Some(account) = &plan.account {
            let body: Value = fetch(connection, get(connection, &plan, account.fill(connection, |_| None))).await?;
            let name = plan.account_path.as_ref().and_then(|place| text(&body, place));
            return Ok(Account { name: name.unwrap_or_else(|| user(connection)), time_zone: None });
        }
        // Nothing tells who we are, so that a list can be read has to do.
        list::changed(connection, &plan, Some(connection.clock.now()).into(), None).await?;
        Ok(Account { name: user(connection), time_zone: None })
    }

    async fn list_since(
        &self,
        connection: &Connection,
        window: Window,
        page: Option<&PageToken>,
    ) -> Result<Page, Error> {
        list::changed(connection, &plan(connection)?, window, page).await
    }

    async fn cuts(
        &self,
        connection: &Connection,
        since: Option<DateTime<Utc>>,
        ahead: u64,
        parts: u64,
    ) -> Result<Vec<DateTime<Utc>>, Error> {
        list::cuts(connection, &plan(connection)?, since, ahead, parts).await
    }

    async fn detail(&self, connection: &Connection, external_id: &str) -> Result<Option<Remote>, Error> {
        update::show(connection, &plan(connection)?, external_id).await
    }

    async fn update(
        &self,
        connection: &Connection,
        external_id: &str,
        change: &Change,
        seen: Option<DateTime<Utc>>,
    ) -> Result<Remote, Error> {
        update::write(connection, &plan(connection)?, external_id, change, seen).await
    }
}

fn user(connection: &Connection) -> String {
    connection.username.clone().unwrap_or_else(|| "the owner of the credentials".to_owned())
}
