//! `/work-orders`: finding, reading and changing tickets.

mod external;
mod list;
mod one;
mod statistics;
mod view;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(list::router())
        .merge(statistics::router())
        .merge(one::router())
        .merge(external::router())
}
