//! Asking for an update of a ticket in its system.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::one::Sent;
use crate::access::Caller;
use crate::app::App;
use crate::http::{Accepted, Answer, Body, Data, Path};
use crate::work_orders::model::{Edits, WorkOrderId};
use crate::work_orders::{Asked, WorkOrders};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(update_external))
}

/// Takes what was changed here to the system, by a job. Changes may come along with the request; they are made first. What came of it
/// is told by `external_update` of the work order.
#[utoipa::path(
    post, path = "/work-orders/{id}/update_external", operation_id = "update_work_order_there", tag = "work orders",
    params(("id" = WorkOrderId, Path, description = "The work order.")),
    request_body = Option<Sent>,
    responses((status = 202, description = "The job; it takes along what is asked for while it is under way.", body = Data<Asked>)),
    security(("token" = ["work_orders:write"]))
)]
async fn update_external(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<WorkOrderId>,
    sent: Option<Body<Sent>>,
) -> Answer<Accepted<Asked>> {
    let (edits, version) = match sent {
        Some(Body(sent)) => {
            let version = sent.version;
            (sent.edits()?, version)
        }
        None => (Edits::default(), None),
    };
    Ok(Accepted(service.update_external(&caller.actor, id, &edits, version).await?))
}
