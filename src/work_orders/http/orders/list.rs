//! Finding tickets.

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::view::View;
use crate::access::Caller;
use crate::app::App;
use crate::base::{Error, PageRequest, TenantId};
use crate::http::{Answer, List, Page, Paging, Query, Unfiltered, Walked};
use crate::work_orders::model::{Priority, Sort, Status, SystemId};
use crate::work_orders::{Filter, Stand, WorkOrders};

/// The longest text that is searched for.
const MAX_TEXT_CHARS: usize = 200;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(overdue)).routes(routes!(upcoming_deadline))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// In this state.
    status: Option<Status>,
    /// As urgent as this.
    priority: Option<Priority>,
    /// Of this system.
    system: Option<SystemId>,
    /// Of whoever has this name or e-mail address.
    assignee: Option<String>,
    /// Open and late, or all others.
    overdue: Option<bool>,
    /// With this in the title, the text or the key.
    #[param(max_length = 200)]
    q: Option<String>,
    /// With changes made here that the system does not have, or without.
    pending: Option<bool>,
    /// Those that are gone from their system instead of those that are there.
    #[serde(default)]
    #[param(required = false)]
    deleted: bool,
    /// In which order; the latest reported first if it is left out.
    #[param(inline)]
    sort: Option<Sort>,
    /// Where the page before ended; empty for the first page of a walk.
    cursor: Option<String>,
}

impl Narrow {
    fn filter(self, service: &WorkOrders) -> Result<Filter, Error> {
        if self.q.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS) {
            return Err(Error::field("/q", format!("a text to search for has up to {MAX_TEXT_CHARS} characters")));
        }
        let now = service.now();
        Ok(Filter {
            status: self.status,
            priority: self.priority,
            system: self.system,
            assignee: self.assignee,
            text: self.q.filter(|text| !text.is_empty()),
            due_before: self.overdue.filter(|late| *late).map(|_| now),
            not_late_at: self.overdue.filter(|late| !late).map(|_| now),
            due_from: None,
            has_changes: self.pending,
            deleted: self.deleted,
        })
    }
}

/// A slice of the list of work orders. A last page fits both forms.
#[derive(Serialize)]
#[serde(untagged)]
enum Orders {
    /// By `page`.
    Paged(List<View>),
    /// By `cursor`.
    Walked(Walked<View>),
}

impl PartialSchema for Orders {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new().item(List::<View>::schema()).item(Walked::<View>::schema()).into()
    }
}

impl ToSchema for Orders {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        List::<View>::schemas(schemas);
        Walked::<View>::schemas(schemas);
    }
}

/// Lists work orders.
#[utoipa::path(
    get, path = "/work-orders", operation_id = "list_work_orders", tag = "work orders",
    params(Narrow, Paging),
    responses((status = 200, description = "Work orders, the latest first; with a `cursor` walked.", body = Orders)),
    security(("token" = ["work_orders:read"]))
)]
async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(mut narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<Json<Orders>> {
    let (cursor, sort) = (narrow.cursor.take(), narrow.sort);
    let filter = narrow.filter(&service)?;
    let Some(cursor) = cursor else {
        let sort = sort.unwrap_or(Sort::CreatedDown);
        return Ok(Json(Orders::Paged(paged(&service, caller.tenant(), &filter, sort, page).await?)));
    };
    Ok(Json(Orders::Walked(walked(&service, caller.tenant(), &filter, sort, &cursor, page).await?)))
}

async fn paged(
    service: &WorkOrders,
    tenant: &TenantId,
    filter: &Filter,
    sort: Sort,
    page: PageRequest,
) -> Result<List<View>, Error> {
    let now = service.now();
    Ok(service.work_orders(tenant, filter, sort, page).await?.map(|order| View::of(order, now)).into())
}

async fn walked(
    service: &WorkOrders,
    tenant: &TenantId,
    filter: &Filter,
    sort: Option<Sort>,
    cursor: &str,
    page: PageRequest,
) -> Result<Walked<View>, Error> {
    let from = if cursor.is_empty() { None } else { Some(cursor.parse::<Stand>()) };
    let from = from.transpose().map_err(|error| Error::field("/cursor", error.to_string()))?;
    let of_cursor = from.map(Stand::sort);
    if let Some((asked, other)) = sort.zip(of_cursor).filter(|(asked, other)| asked != other) {
        return Err(Error::field("/cursor", format!("it belongs to a list in the order {other}, not {asked}")));
    }
    let sort = sort.or(of_cursor).unwrap_or(Sort::CreatedDown);
    let now = service.now();
    let (orders, next) = service.walk_work_orders(tenant, filter, sort, from, page.size()).await?;
    let data = orders.into_iter().map(|order| View::of(order, now)).collect();
    Ok(Walked { data, size: page.size(), next: next.map(|stand| stand.to_string()) })
}

/// Lists open work orders whose date has passed.
#[utoipa::path(
    get, path = "/work-orders/overdue", operation_id = "list_overdue_work_orders", tag = "work orders",
    params(Paging),
    responses((status = 200, description = "Late ones, the latest of all first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn overdue(
    State(service): State<WorkOrders>,
    caller: Caller,
    _: Query<Unfiltered>,
    Page(page): Page,
) -> Answer<List<View>> {
    let filter = Filter { due_before: Some(service.now()), ..Filter::default() };
    Ok(paged(&service, caller.tenant(), &filter, Sort::Due, page).await?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Soon {
    /// Within how many days; 3 if it is left out.
    #[param(minimum = 1, maximum = 365)]
    days: Option<i64>,
}

/// Lists open work orders that will soon be due.
#[utoipa::path(
    get, path = "/work-orders/upcoming_deadline", operation_id = "list_due_work_orders", tag = "work orders",
    params(Soon, Paging),
    responses((status = 200, description = "The first due first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn upcoming_deadline(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(soon): Query<Soon>,
    Page(page): Page,
) -> Answer<List<View>> {
    let days = soon.days.unwrap_or(3);
    if !(1..=365).contains(&days) {
        return Err(Error::field("/days", format!("{days} is not between 1 and 365 days")).into());
    }
    let now = service.now();
    let (due_before, due_from) = (Some(now + TimeDelta::days(days)), Some(now));
    let filter = Filter { due_before, due_from, ..Filter::default() };
    Ok(paged(&service, caller.tenant(), &filter, Sort::Due, page).await?)
}
