//! A tenant.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::base::TenantId;

/// One of those who share the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Tenant {
    /// Its short name, which never changes.
    #[serde(rename = "id")]
    pub tenant_id: TenantId,
    /// Its name for people.
    pub name: String,
    /// Since when it is refused; `None` while it is served.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its changes.
    pub version: i64,
}
