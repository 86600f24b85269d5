//! What a change manager does with the calendar.

use super::model::{Draft, FreezeId, FreezeWindow};
use super::store;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result, TenantId};
use crate::db::{Db, Tx};

/// What the audit record calls a window.
const OBJECT: &str = "freeze_window";

/// Lists the windows of a tenant by name.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<FreezeWindow>> {
    let mut tx = db.read().await?;
    store::list(&mut tx, tenant).await
}

/// Reads one window.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such window.
pub async fn get(db: &Db, tenant: &TenantId, id: FreezeId) -> Result<FreezeWindow> {
    let mut tx = db.read().await?;
    find(&mut tx, tenant, id).await
}

/// Reads the window of a name.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such window.
pub async fn by_name(db: &Db, tenant: &TenantId, name: &str) -> Result<FreezeWindow> {
    let mut tx = db.read().await?;
    store::by_name(&mut tx, tenant, name).await?.ok_or_else(|| Error::not_found("freeze window", name))
}

/// Enters a window into the calendar.
///
/// # Errors
/// [`Error::Invalid`] names what is wrong; a conflict (`name_taken`) if there is one of this name.
pub async fn create(db: &Db, actor: &Actor, draft: Draft) -> Result<FreezeWindow> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let window = FreezeWindow {
        id: FreezeId::new(),
        tenant_id: actor.tenant.clone(),
        draft: draft.checked(now)?,
        created_by: actor.to_string(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    if !store::insert(&mut tx, &window).await? {
        return Err(taken(&window.draft.name));
    }
    store::wake_deferred(&mut tx, &actor.tenant, now).await?;
    tx.record(actor, Event::new("freeze_window.create", OBJECT, &window.draft.name).after(&window)).await?;
    tx.commit().await?;
    Ok(window)
}

/// Rewrites a window as a whole.
///
/// # Errors
/// As [`create`]; [`Error::NotFound`], and a conflict (`version_moved`) if somebody changed it meanwhile.
pub async fn rewrite(db: &Db, actor: &Actor, id: FreezeId, version: i64, draft: Draft) -> Result<FreezeWindow> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let before = find(&mut tx, &actor.tenant, id).await?;
    let mut after = FreezeWindow { draft: draft.checked(now)?, updated_at: now, version, ..before.clone() };
    let written = store::update(&mut tx, &after).await;
    if written.as_ref().is_err_and(Error::is_unique_violation) {
        return Err(taken(&after.draft.name));
    }
    if !written? {
        let message =
            format!("freeze window {} was changed meanwhile: read it again and repeat the change", before.draft.name);
        return Err(Error::conflict("version_moved", message));
    }
    after.version += 1;
    store::wake_deferred(&mut tx, &actor.tenant, now).await?;
    let event = Event::new("freeze_window.edit", OBJECT, &after.draft.name).before(&before).after(&after);
    tx.record(actor, event).await?;
    tx.commit().await?;
    Ok(after)
}

/// Takes a window out of the calendar. What it deferred fires, unless another window covers it.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such window.
pub async fn remove(db: &Db, actor: &Actor, id: FreezeId) -> Result<()> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let before = find(&mut tx, &actor.tenant, id).await?;
    store::delete(&mut tx, &actor.tenant, id).await?;
    store::wake_deferred(&mut tx, &actor.tenant, now).await?;
    tx.record(actor, Event::new("freeze_window.remove", OBJECT, &before.draft.name).before(&before)).await?;
    tx.commit().await
}

async fn find(tx: &mut Tx, tenant: &TenantId, id: FreezeId) -> Result<FreezeWindow> {
    store::by_id(tx, tenant, id).await?.ok_or_else(|| Error::not_found("freeze window", &id))
}

fn taken(name: &str) -> Error {
    Error::conflict(
        "name_taken",
        format!("there is a freeze window {name:?} already: choose another name, or edit that one"),
    )
}
