//! Reading and changing one ticket.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::View;
use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, FieldError};
use crate::http::{Answer, Body, Data, Path, data};
use crate::work_orders::WorkOrders;
use crate::work_orders::model::{Edits, Priority, Status, WorkOrderId, end_of_day};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// What is shown and cannot be set; it is passed over, so that what was read can be sent back.
const SHOWN: [&str; 22] = [
    "id",
    "system",
    "external_id",
    "external_key",
    "external_status",
    "external_priority",
    "reporter",
    "reporter_email",
    "reported_at",
    "resolved_at",
    "url",
    "external_updated_at",
    "last_sync_at",
    "sync_status",
    "sync_error",
    "pending",
    "conflicts",
    "held",
    "external_update",
    "created_at",
    "updated_at",
    "deleted_at",
];

/// The fields that are changed. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(as = WorkOrderEdits)]
pub(super) struct Sent {
    /// The title.
    #[schema(min_length = 1, max_length = 200)]
    title: Option<String>,
    /// The text.
    #[schema(max_length = 32767)]
    description: Option<String>,
    /// How far it is.
    status: Option<Status>,
    /// How urgent it is.
    priority: Option<Priority>,
    /// Who works on it; null for nobody.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    assignee: Given,
    /// Where to reach them; null for nowhere.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    assignee_email: Given,
    /// When it is due: an instant, or a day, which lasts until its end in UTC; null for never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    due_date: Given,
    /// What it is about; null for nothing.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    category: Given,
    /// Its labels.
    tags: Option<Vec<String>>,
    /// The version that was read before: a ticket that has changed since is not changed.
    pub(super) version: Option<i64>,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: BTreeMap<String, Value>,
}

/// Tells null, which empties a field, from a field that is not there.
#[derive(Default)]
enum Given {
    #[default]
    Not,
    Null,
    Text(String),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(reader)?.map_or(Self::Null, Self::Text))
    }
}

impl Given {
    /// Reads it, if it is there: `Some(None)` empties the field.
    #[allow(clippy::option_option, reason = "this is what edits are made of")]
    fn read<T>(self, read: impl FnOnce(String) -> Option<T>) -> Option<Option<T>> {
        match self {
            Self::Not => None,
            Self::Null => Some(None),
            Self::Text(text) => Some(read(text)),
        }
    }
}

impl Sent {
    /// Reads the edits.
    pub(super) fn edits(self) -> Result<Edits, Error> {
        let mut wrong: Vec<FieldError> = self
            .rest
            .keys()
            .filter(|name| !SHOWN.contains(&name.as_str()))
            .map(|name| FieldError {
                pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                message: "a work order has no such field".to_owned(),
            })
            .collect();
        let mut read = |text: String| {
            let at = end_of_day(&text);
            if at.is_none() {
                let message = format!(
                    "{:?} is no date: write 2026-12-01, or an instant with its zone such as 2026-12-01T18:00:00+08:00",
                    text.chars().take(64).collect::<String>()
                );
                wrong.push(FieldError { pointer: "/due_date".to_owned(), message });
            }
            at
        };
        let due_date = self.due_date.read(&mut read);
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        Ok(Edits {
            title: self.title,
            description: self.description,
            status: self.status,
            priority: self.priority,
            assignee: self.assignee.read(Some),
            assignee_email: self.assignee_email.read(Some),
            due_date,
            category: self.category.read(Some),
            tags: self.tags,
        })
    }
}

/// Shows a work order.
#[utoipa::path(
    get, path = "/work-orders/{id}", operation_id = "show_work_order", tag = "work orders",
    params(("id" = WorkOrderId, Path, description = "The work order.")),
    responses((status = 200, description = "The work order.", body = Data<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<WorkOrderId>) -> Answer<Data<View>> {
    let order = service.work_order(caller.tenant(), id).await?;
    Ok(data(View::of(order, service.now())))
}

/// Changes a work order here. What is changed waits until it is taken to the system with `update_external`; until then the system's
/// own changes do not overwrite it.
#[utoipa::path(
    put, path = "/work-orders/{id}", operation_id = "change_work_order", tag = "work orders",
    params(("id" = WorkOrderId, Path, description = "The work order.")),
    request_body = Sent,
    responses((status = 200, description = "The work order.", body = Data<View>)),
    security(("token" = ["work_orders:write"]))
)]
async fn change(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<WorkOrderId>,
    Body(sent): Body<Sent>,
) -> Answer<Data<View>> {
    let version = sent.version;
    let order = service.update_work_order(&caller.actor, id, &sent.edits()?, version).await?;
    Ok(data(View::of(order, service.now())))
}
