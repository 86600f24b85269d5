//! Making tenants, and refusing them for a while.

use super::model::Tenant;
use super::store;
use crate::access::text;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, PageRequest, Paged, Result, TenantId};
use crate::db::{Db, Tx};

/// Makes a tenant.
///
/// # Errors
/// [`Error::Invalid`] for a name that is empty or long, [`Error::Conflict`] (`tenant_taken`) for an id that is taken.
pub async fn create(db: &Db, actor: &Actor, id: &TenantId, name: &str) -> Result<Tenant> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let name = text::line("/name", name, 100)?;
    let tenant =
        Tenant { tenant_id: id.clone(), name, disabled_at: None, created_at: now, updated_at: now, version: 1 };
    if !store::insert(&mut tx, &tenant).await? {
        return Err(Error::conflict("tenant_taken", format!("there is a tenant {id}: choose another id")));
    }
    tx.record(actor, Event::new("tenant.create", "tenant", id).after(&tenant)).await?;
    tx.commit().await?;
    Ok(tenant)
}

/// Lists all tenants by id.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, page: PageRequest) -> Result<Paged<Tenant>> {
    let mut tx = db.read().await?;
    store::list(&mut tx, page).await
}

/// Reads one tenant.
///
/// # Errors
/// [`Error::NotFound`] if there is none of this id.
pub async fn get(db: &Db, id: &TenantId) -> Result<Tenant> {
    let mut tx = db.read().await?;
    find(&mut tx, id).await
}

/// Gives a tenant another name for people.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::Invalid`] for the name, [`Error::Conflict`] if the version has moved on.
pub async fn rename(db: &Db, actor: &Actor, id: &TenantId, name: &str, version: Option<i64>) -> Result<Tenant> {
    let name = text::line("/name", name, 100)?;
    change(db, actor, "tenant.update", id, version, |tenant| {
        tenant.name = name;
        Ok(())
    })
    .await
}

/// Refuses the tokens and sessions of a tenant until it is enabled; all it has stays.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::Conflict`] for the first tenant, from which all others are kept.
pub async fn disable(db: &Db, actor: &Actor, id: &TenantId) -> Result<Tenant> {
    let now = db.clock().now();
    change(db, actor, "tenant.disable", id, None, |tenant| {
        if tenant.tenant_id == TenantId::default() {
            let why = format!("tenant {} keeps all others and cannot be disabled", tenant.tenant_id);
            return Err(Error::conflict("first_tenant", why));
        }
        tenant.disabled_at.get_or_insert(now);
        Ok(())
    })
    .await
}

/// Serves a disabled tenant again.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn enable(db: &Db, actor: &Actor, id: &TenantId) -> Result<Tenant> {
    change(db, actor, "tenant.enable", id, None, |tenant| {
        tenant.disabled_at = None;
        Ok(())
    })
    .await
}

async fn change(
    db: &Db,
    actor: &Actor,
    action: &'static str,
    id: &TenantId,
    version: Option<i64>,
    turn: impl FnOnce(&mut Tenant) -> Result<()>,
) -> Result<Tenant> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let before = find(&mut tx, id).await?;
    let mut tenant = before.clone();
    turn(&mut tenant)?;
    if version.is_some_and(|version| version != before.version) || !store::update(&mut tx, &tenant, now).await? {
        return Err(text::moved_on("tenant", id));
    }
    (tenant.updated_at, tenant.version) = (now, tenant.version + 1);
    tx.record(actor, Event::new(action, "tenant", id).before(&before).after(&tenant)).await?;
    tx.commit().await?;
    Ok(tenant)
}

/// Reads a tenant, or says that there is none.
pub(in crate::access) async fn find(tx: &mut Tx, id: &TenantId) -> Result<Tenant> {
    store::by_id(tx, id).await?.ok_or_else(|| Error::not_found("tenant", id))
}
