//! All routes of the subject.

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;

use super::{failures, logs, orders, systems};
use crate::app::App;
use crate::work_orders::WorkOrders;

impl FromRef<App> for WorkOrders {
    fn from_ref(app: &App) -> Self {
        app.work_orders.clone()
    }
}

/// Returns the routes, without what stands in front of them.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(systems::router())
        .merge(failures::router())
        .merge(orders::router())
        .merge(logs::router())
}
