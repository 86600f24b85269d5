//! `/work-orders`: reading tickets.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, Data, List, Page, Paging, Path, Query, data};
use crate::work_orders::model::{Content, Priority, Status, SyncStatus, SystemId, WorkOrder, WorkOrderId};
use crate::work_orders::{Filter, WorkOrders};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
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
}

#[derive(Serialize, ToSchema)]
#[schema(as = WorkOrder)]
struct View {
    /// The work order.
    id: WorkOrderId,
    /// From which system it comes.
    system: SystemId,
    #[serde(flatten)]
    content: Content,
    /// When it was last read there.
    last_sync_at: DateTime<Utc>,
    /// Whether that went well.
    sync_status: SyncStatus,
    /// Why it did not.
    sync_error: Option<String>,
    /// Counts the changes.
    version: i64,
    /// When it was first read.
    created_at: DateTime<Utc>,
    /// When it last changed here.
    updated_at: DateTime<Utc>,
}

impl From<WorkOrder> for View {
    fn from(order: WorkOrder) -> Self {
        Self {
            id: order.id,
            system: order.system,
            content: order.content,
            last_sync_at: order.last_sync_at,
            sync_status: order.sync_status,
            sync_error: order.sync_error,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Lists work orders.
#[utoipa::path(
    get, path = "/work-orders", operation_id = "list_work_orders", tag = "work orders",
    params(Narrow, Paging),
    responses((status = 200, description = "Work orders, the latest first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<View>> {
    let filter = Filter { status: narrow.status, priority: narrow.priority, system: narrow.system };
    Ok(service.work_orders(caller.tenant(), &filter, page).await?.map(View::from).into())
}

/// Shows a work order.
#[utoipa::path(
    get, path = "/work-orders/{id}", operation_id = "show_work_order", tag = "work orders",
    params(("id" = WorkOrderId, Path, description = "The work order.")),
    responses((status = 200, description = "The work order.", body = Data<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<WorkOrderId>) -> Answer<Data<View>> {
    Ok(data(service.work_order(caller.tenant(), id).await?.into()))
}
