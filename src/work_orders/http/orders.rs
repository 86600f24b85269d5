//! `/work-orders`: reading tickets.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::http::{Answer, Data, List, Page, Path, Query, data};
use crate::work_orders::model::{Content, Priority, Status, SyncStatus, SystemId, WorkOrder, WorkOrderId};
use crate::work_orders::{Filter, WorkOrders};

pub(super) fn router() -> Router<WorkOrders> {
    Router::new().route("/", get(list)).route("/{id}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Narrow {
    status: Option<Status>,
    priority: Option<Priority>,
    system: Option<SystemId>,
}

#[derive(Serialize)]
struct View {
    id: WorkOrderId,
    system: SystemId,
    #[serde(flatten)]
    content: Content,
    last_sync_at: DateTime<Utc>,
    sync_status: SyncStatus,
    sync_error: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
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

async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<View>> {
    let filter = Filter { status: narrow.status, priority: narrow.priority, system: narrow.system };
    Ok(service.work_orders(&caller.tenant, &filter, page).await?.map(View::from).into())
}

async fn show(State(service): State<WorkOrders>, caller: Caller, Path(id): Path<WorkOrderId>) -> Answer<Data<View>> {
    Ok(data(service.work_order(&caller.tenant, id).await?.into()))
}
