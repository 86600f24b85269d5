//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::base::TenantId;

/// Who asks, as the token says; every handler that touches a tenant's rows takes it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant whose rows may be seen.
    pub tenant: TenantId,
    /// The name of the token, for records of who did what.
    pub token: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route that was mounted outside the token check can be without it.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "send a token with Authorization: Bearer TOKEN")
        })
    }
}
