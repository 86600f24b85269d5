//! `/work-order-systems`: the settings of systems, and asking for runs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use deskhand_jobs::JobId;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::base::Secret;
use crate::http::{Accepted, Answer, Body, Created, Data, List, Page, Paging, Path, Query, Unfiltered, data};
use crate::work_orders::model::{Draft, MASK, Mapping, SecretChange, System, SystemId};
use crate::work_orders::{Asked, Probe, WorkOrders};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(sync_all))
        .routes(routes!(show, change, remove))
        .routes(routes!(sync))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(test_connection))
}

/// The settings as they are sent. What is shown and cannot be set is passed over, so that what was read can be sent back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SystemSettings)]
struct Sent {
    /// Its name, for people.
    name: Option<String>,
    /// Which kind of system it is: the id of an adapter. Left out, the name says it.
    system_type: Option<String>,
    /// Its address.
    api_url: Option<String>,
    /// The account, if it wants one.
    username: Option<String>,
    /// A token of the account; `***` leaves it as it is, an empty text removes it.
    api_key: Option<Secret>,
    /// The password of the account; `***` leaves it as it is, an empty text removes it.
    password: Option<Secret>,
    /// Whether it takes part in synchronisations.
    is_active: Option<bool>,
    /// Seconds between two synchronisations.
    sync_interval: Option<i64>,
    /// How many days the first synchronisation looks back; everything if it is left out.
    initial_days: Option<i64>,
    /// A setting of the adapter, as in `settings`.
    deployment: Option<String>,
    /// Settings of the adapter.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// Which of its words mean which of ours.
    mapping: Option<Mapping>,
    /// The version that was read before.
    version: Option<i64>,
    #[serde(rename = "id")]
    #[schema(ignore)]
    _id: Option<IgnoredAny>,
    #[serde(rename = "cursor_at")]
    #[schema(ignore)]
    _cursor_at: Option<IgnoredAny>,
    #[serde(rename = "last_sync_at")]
    #[schema(ignore)]
    _last_sync_at: Option<IgnoredAny>,
    #[serde(rename = "last_attempt_at")]
    #[schema(ignore)]
    _last_attempt_at: Option<IgnoredAny>,
    #[serde(rename = "blocked_until")]
    #[schema(ignore)]
    _blocked_until: Option<IgnoredAny>,
    #[serde(rename = "failure_streak")]
    #[schema(ignore)]
    _failure_streak: Option<IgnoredAny>,
    #[serde(rename = "created_at")]
    #[schema(ignore)]
    _created_at: Option<IgnoredAny>,
    #[serde(rename = "updated_at")]
    #[schema(ignore)]
    _updated_at: Option<IgnoredAny>,
}

impl From<Sent> for Draft {
    fn from(sent: Sent) -> Self {
        let mut settings = sent.settings;
        settings.extend(sent.deployment.map(|deployment| ("deployment".to_owned(), deployment)));
        Self {
            name: sent.name,
            system_type: sent.system_type,
            api_url: sent.api_url,
            username: sent.username,
            api_key: SecretChange::from_field(sent.api_key),
            password: SecretChange::from_field(sent.password),
            is_active: sent.is_active,
            sync_interval: sent.sync_interval,
            initial_days: sent.initial_days,
            settings,
            mapping: sent.mapping,
            version: sent.version,
        }
    }
}

/// A system as it is shown: a secret is `***` if there is one.
#[derive(Serialize, ToSchema)]
#[schema(as = System)]
struct View {
    /// The system.
    id: SystemId,
    /// Its name, for people.
    name: String,
    /// Which kind of system it is.
    system_type: String,
    /// Its address.
    api_url: String,
    /// The account.
    username: Option<String>,
    /// `***` if there is one.
    api_key: Option<&'static str>,
    /// `***` if there is one.
    password: Option<&'static str>,
    /// Whether it takes part in synchronisations.
    is_active: bool,
    /// Seconds between two synchronisations.
    sync_interval: i64,
    /// How many days the first synchronisation looked back; null for everything.
    initial_days: Option<i64>,
    /// A setting of the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
    /// Settings of the adapter.
    settings: BTreeMap<String, String>,
    /// Which of its words mean which of ours.
    mapping: Mapping,
    /// Changes up to here have been read.
    cursor_at: Option<DateTime<Utc>>,
    /// When a synchronisation last reached its end.
    last_sync_at: Option<DateTime<Utc>>,
    /// When one was last asked for.
    last_attempt_at: Option<DateTime<Utc>>,
    /// Until when it asked to be left alone.
    blocked_until: Option<DateTime<Utc>>,
    /// How many synchronisations in a row failed.
    failure_streak: i64,
    /// Counts the changes.
    version: i64,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<System> for View {
    fn from(system: System) -> Self {
        let mut settings = system.settings;
        Self {
            deployment: settings.remove("deployment"),
            settings,
            id: system.id,
            name: system.name,
            system_type: system.system_type,
            api_url: system.api_url.into(),
            username: system.username,
            api_key: system.api_key.map(|_| MASK),
            password: system.password.map(|_| MASK),
            is_active: system.is_active,
            sync_interval: system.sync_interval,
            initial_days: system.initial_days,
            mapping: system.mapping,
            cursor_at: system.cursor_at,
            last_sync_at: system.last_sync_at,
            last_attempt_at: system.last_attempt_at,
            blocked_until: system.blocked_until,
            failure_streak: system.failure_streak,
            version: system.version,
            created_at: system.created_at,
            updated_at: system.updated_at,
        }
    }
}

/// Lists the ticket systems.
#[utoipa::path(
    get, path = "/work-order-systems", operation_id = "list_systems", tag = "work orders",
    params(Paging),
    responses((status = 200, description = "Systems by name.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    _: Query<Unfiltered>,
    Page(page): Page,
) -> Answer<List<View>> {
    Ok(service.systems(caller.tenant(), page).await?.map(View::from).into())
}

/// Makes a ticket system known.
#[utoipa::path(
    post, path = "/work-order-systems", operation_id = "create_system", tag = "work orders",
    request_body = Sent,
    responses((status = 201, description = "The system; a secret shows as `***`.", body = Data<View>)),
    security(("token" = ["work_orders:write"]))
)]
async fn create(State(service): State<WorkOrders>, caller: Caller, Body(sent): Body<Sent>) -> Answer<Created<View>> {
    Ok(Created(service.create_system(&caller.actor, &sent.into()).await?.into()))
}

/// Shows a ticket system.
#[utoipa::path(
    get, path = "/work-order-systems/{id}", operation_id = "show_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    responses((status = 200, description = "The system; a secret shows as `***`.", body = Data<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SystemId>) -> Answer<Data<View>> {
    Ok(data(service.system(caller.tenant(), id).await?.into()))
}

/// Changes the settings of a ticket system. What is left out stays; `***` leaves a secret as it is.
#[utoipa::path(
    put, path = "/work-order-systems/{id}", operation_id = "change_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    request_body = Sent,
    responses((status = 200, description = "The system; a secret shows as `***`.", body = Data<View>)),
    security(("token" = ["work_orders:write"]))
)]
async fn change(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<SystemId>,
    Body(sent): Body<Sent>,
) -> Answer<Data<View>> {
    Ok(data(service.update_system(&caller.actor, id, &sent.into()).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Removal {
    /// Remove its work orders and logs as well.
    #[serde(default)]
    cascade: bool,
}

/// Removes a ticket system.
#[utoipa::path(
    delete, path = "/work-order-systems/{id}", operation_id = "remove_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system."), Removal),
    responses((status = 204, description = "It is gone.")),
    security(("token" = ["work_orders:write"]))
)]
async fn remove(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<SystemId>,
    Query(removal): Query<Removal>,
) -> Answer<StatusCode> {
    service.delete_system(&caller.actor, id, removal.cascade).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a ticket system take part in synchronisations.
#[utoipa::path(
    post, path = "/work-order-systems/{id}/enable", operation_id = "enable_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    responses((status = 200, description = "The system; a secret shows as `***`.", body = Data<View>)),
    security(("token" = ["work_orders:write"]))
)]
async fn enable(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SystemId>) -> Answer<Data<View>> {
    Ok(data(service.set_active(&caller.actor, id, true).await?.into()))
}

/// Leaves a ticket system out of synchronisations.
#[utoipa::path(
    post, path = "/work-order-systems/{id}/disable", operation_id = "disable_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    responses((status = 200, description = "The system; a secret shows as `***`.", body = Data<View>)),
    security(("token" = ["work_orders:write"]))
)]
async fn disable(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SystemId>) -> Answer<Data<View>> {
    Ok(data(service.set_active(&caller.actor, id, false).await?.into()))
}

/// Tries the address and the credentials of a ticket system.
#[utoipa::path(
    post, path = "/work-order-systems/{id}/test_connection", operation_id = "test_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    responses((status = 200, description = "Whether it answers and knows us.", body = Data<Probe>)),
    security(("token" = ["work_orders:write"]))
)]
async fn test_connection(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<SystemId>,
) -> Answer<Data<Probe>> {
    Ok(data(service.test_connection(caller.tenant(), id).await?))
}

/// Asks for a synchronisation of one system.
#[utoipa::path(
    post, path = "/work-order-systems/{id}/sync", operation_id = "sync_system", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system.")),
    responses((status = 202, description = "The job.", body = Data<Asked>)),
    security(("token" = ["work_orders:write"]))
)]
async fn sync(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<SystemId>) -> Answer<Accepted<Asked>> {
    Ok(Accepted(service.sync_now(&caller.actor, id).await?))
}

/// Jobs that were asked for.
#[derive(Serialize, ToSchema)]
struct AllAsked {
    /// One for each system.
    job_ids: Vec<JobId>,
}

/// Asks for a synchronisation of all active systems.
#[utoipa::path(
    post, path = "/work-order-systems/sync_all", operation_id = "sync_all_systems", tag = "work orders",
    responses((status = 202, description = "The jobs.", body = Data<AllAsked>)),
    security(("token" = ["work_orders:write"]))
)]
async fn sync_all(State(service): State<WorkOrders>, caller: Caller) -> Answer<Accepted<AllAsked>> {
    let asked = service.sync_all(Some(&caller.actor)).await?;
    Ok(Accepted(AllAsked { job_ids: asked.into_iter().map(|asked| asked.job_id).collect() }))
}
