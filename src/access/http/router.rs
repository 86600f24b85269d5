//! All routes of the room.

use utoipa_axum::router::OpenApiRouter;

use super::{me, oidc, roles, sessions, tenants, tokens, users};
use crate::app::App;

/// Returns the routes, under `/api/v1`.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(me::router())
        .merge(sessions::router())
        .merge(oidc::router())
        .merge(users::router())
        .merge(roles::router())
        .merge(tokens::router())
        .merge(tenants::router())
}
