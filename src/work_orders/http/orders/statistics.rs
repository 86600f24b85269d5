//! Counting tickets.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, Data, Query, Unfiltered, data};
use crate::work_orders::WorkOrders;
use crate::work_orders::model::OrderStatistics;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(statistics))
}

/// Counts work orders by what they are.
#[utoipa::path(
    get, path = "/work-orders/statistics", operation_id = "count_work_orders", tag = "work orders",
    responses((status = 200, description = "The counts.", body = Data<OrderStatistics>)),
    security(("token" = ["work_orders:read"]))
)]
async fn statistics(
    State(service): State<WorkOrders>,
    caller: Caller,
    _: Query<Unfiltered>,
) -> Answer<Data<OrderStatistics>> {
    Ok(data(service.work_order_statistics(caller.tenant()).await?))
}
