//! Tickets of a system that could not be taken.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::http::{Answer, List, Page, Paging, Path, Query, Unfiltered};
use crate::work_orders::WorkOrders;
use crate::work_orders::model::{Failure, SystemId};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A ticket that could not be taken.
#[derive(Serialize, ToSchema)]
#[schema(as = FailedTicket)]
struct View {
    /// What names it in its system, as far as that can be told.
    external_id: String,
    /// Why, the last time.
    reason: String,
    /// How often it was read in vain.
    tries: i64,
    /// When that was first seen.
    first_seen_at: DateTime<Utc>,
    /// When it was last seen.
    last_seen_at: DateTime<Utc>,
    /// When it is asked for once more; null once it is given up.
    next_try_at: Option<DateTime<Utc>>,
    /// Whether it is given up: it comes when it changes there, or with the nightly look at all tickets.
    given_up: bool,
}

impl From<Failure> for View {
    fn from(failure: Failure) -> Self {
        Self {
            given_up: failure.next_try_at.is_none(),
            external_id: failure.external_id,
            reason: failure.reason,
            tries: failure.tries,
            first_seen_at: failure.first_seen_at,
            last_seen_at: failure.last_seen_at,
            next_try_at: failure.next_try_at,
        }
    }
}

/// Lists the tickets of a system that could not be taken. Synchronisations ask for them later, one by one.
#[utoipa::path(
    get, path = "/work-order-systems/{id}/failed_tickets", operation_id = "list_failed_tickets", tag = "work orders",
    params(("id" = SystemId, Path, description = "The system."), Paging),
    responses((status = 200, description = "Tickets, the latest first.", body = List<View>)),
    security(("token" = ["work_orders:read"]))
)]
async fn list(
    State(service): State<WorkOrders>,
    caller: Caller,
    Path(id): Path<SystemId>,
    _: Query<Unfiltered>,
    Page(page): Page,
) -> Answer<List<View>> {
    Ok(service.failed_tickets(caller.tenant(), id, page).await?.map(View::from).into())
}
