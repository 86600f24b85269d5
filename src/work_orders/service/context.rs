//! What the use cases need.

use chrono::{DateTime, Utc};

use crate::base::{Clock, Error, Result, Secret, TenantId, Vault};
use crate::db::{Db, Tx};
use crate::outbound::Http;
use crate::work_orders::adapters::{self, Adapter, Connection};
use crate::work_orders::model::{FanOut, Sealed, System, SystemId};
use crate::work_orders::store::systems;

/// The use cases; a clone shares everything.
#[derive(Debug, Clone)]
pub struct WorkOrders {
    pub(super) db: Db,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) http: Http,
    pub(super) fan_out: FanOut,
}

impl WorkOrders {
    /// Puts the parts together; the time is that of the database.
    pub fn new(db: Db, vault: Vault, http: Http) -> Self {
        let clock = db.clock().clone();
        Self { db, vault, clock, http, fan_out: FanOut::default() }
    }

    /// Tells the time of the use cases.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Opens the secrets of a system for a call.
    pub(super) fn connect(&self, system: &System) -> Result<Connection> {
        let open = |sealed: &Option<Sealed>, field: &str| -> Result<Option<Secret>> {
            sealed.as_ref().map(|sealed| self.vault.open(&sealed.0, &System::place(system.id, field))).transpose()
        };
        Ok(Connection {
            name: system.name.clone(),
            api_url: system.api_url.clone(),
            username: system.username.clone(),
            api_key: open(&system.api_key, "api_key")?,
            password: open(&system.password, "password")?,
            settings: system.settings.clone(),
            mapping: system.mapping.clone(),
            http: self.http.clone(),
            clock: self.clock.clone(),
        })
    }
}

/// Reads a system of a tenant; that of another is not there.
pub(super) async fn load(tx: &mut Tx, tenant: &TenantId, id: SystemId) -> Result<System> {
    let found = systems::get(tx, tenant, id).await?;
    found.ok_or_else(|| Error::not_found("work order system", &id))
}

/// Finds the adapter of a system.
pub(super) fn adapter_of(system_type: &str) -> Result<&'static dyn Adapter> {
    adapters::find(system_type).ok_or_else(|| {
        let known = adapters::all().iter().map(|adapter| adapter.about().id).collect::<Vec<_>>().join(", ");
        Error::field("/system_type", format!("{system_type:?} is not one of: {known}"))
    })
}
