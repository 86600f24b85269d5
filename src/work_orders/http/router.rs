//! All routes of the subject.

use axum::Router;

use super::{logs, orders, systems};
use crate::work_orders::WorkOrders;

/// Returns the routes, with all they need.
pub fn router<S: Clone + Send + Sync + 'static>(work_orders: WorkOrders) -> Router<S> {
    let routes = Router::new()
        .nest("/work-order-systems", systems::router())
        .nest("/work-orders", orders::router())
        .nest("/sync-logs", logs::router());
    Router::new().nest("/api/v1", routes.clone()).nest("/api", routes).with_state(work_orders)
}
