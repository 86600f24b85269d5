//! Making roles for a desk, and granting roles to people. Nobody hands out more than they may do themselves.

use super::model::{BusinessId, Draft, Effective, Grant, Role, RoleName, effective};
use super::store;
use crate::access::model::Caller;
use crate::access::scope::BuiltIn;
use crate::access::text;
use crate::access::users::{User, store as users};
use crate::audit::{Event, Record};
use crate::base::{Error, Result, TenantId, UserId};
use crate::db::{Db, Tx};

/// Lists the roles of a tenant: those that every tenant has, then those that it made.
///
/// # Errors
/// [`Error`] of the database.
pub async fn list(db: &Db, tenant: &TenantId) -> Result<Vec<Role>> {
    let mut tx = db.read().await?;
    all(&mut tx, tenant).await
}

/// Reads one role.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has none of this name.
pub async fn get(db: &Db, tenant: &TenantId, name: &RoleName) -> Result<Role> {
    let mut tx = db.read().await?;
    find(&mut tx, tenant, name).await
}

/// Makes a role.
///
/// # Errors
/// [`Error::Invalid`] for a text that does not fit, [`Error::Forbidden`] if it may do more than the caller, [`Error::Conflict`]
/// (`role_taken`) if there is one of this name.
pub async fn create(db: &Db, caller: &Caller, name: &RoleName, draft: &Draft) -> Result<Role> {
    let blank = Role {
        name: name.clone(),
        label: name.to_string(),
        description: String::new(),
        scopes: std::iter::empty().collect(),
        built_in: false,
        version: 1,
    };
    let role = apply(caller, blank, draft)?;
    let taken = || Error::conflict("role_taken", format!("there is a role {name}: choose another name"));
    if name.as_str().parse::<BuiltIn>().is_ok() {
        return Err(taken());
    }
    let mut tx = db.begin().await?;
    if !store::insert_role(&mut tx, caller.tenant(), &role).await? {
        return Err(taken());
    }
    tx.record(&caller.actor, Event::new("role.create", "role", name).after(&role)).await?;
    tx.commit().await?;
    Ok(role)
}

/// Changes a role that the tenant made; what the draft leaves out stays.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::Conflict`] for a built-in one and for a version that has moved on, else as
/// [`create`].
pub async fn change(db: &Db, caller: &Caller, name: &RoleName, draft: &Draft) -> Result<Role> {
    let mut tx = db.begin().await?;
    let before = made(&mut tx, caller.tenant(), name).await?;
    caller.must_cover(&before.scopes)?;
    let mut role = apply(caller, before.clone(), draft)?;
    let moved = draft.version.is_some_and(|version| version != before.version);
    if moved || !store::update_role(&mut tx, caller.tenant(), &role).await? {
        return Err(text::moved_on("role", name));
    }
    role.version += 1;
    tx.record(&caller.actor, Event::new("role.update", "role", name).before(&before).after(&role)).await?;
    tx.commit().await?;
    Ok(role)
}

/// Removes a role that the tenant made and nobody has.
///
/// # Errors
/// [`Error::NotFound`] if there is none, [`Error::Conflict`] for a built-in one and for one that somebody has (`role_granted`).
pub async fn remove(db: &Db, caller: &Caller, name: &RoleName) -> Result<()> {
    let mut tx = db.begin().await?;
    let role = made(&mut tx, caller.tenant(), name).await?;
    let grants = store::count_grants(&mut tx, caller.tenant(), name).await?;
    if grants > 0 {
        let cure = format!("role {name} is granted {grants} times: revoke it from its holders first");
        return Err(Error::conflict("role_granted", cure));
    }
    store::delete_role(&mut tx, caller.tenant(), name).await?;
    tx.record(&caller.actor, Event::new("role.delete", "role", name).before(&role)).await?;
    tx.commit().await
}

/// Lists what a member was granted.
///
/// # Errors
/// [`Error::NotFound`] if the person is no member of the tenant.
pub async fn grants(db: &Db, tenant: &TenantId, user: UserId) -> Result<Vec<Grant>> {
    let mut tx = db.read().await?;
    member(&mut tx, tenant, user).await?;
    store::grants_of(&mut tx, tenant, user).await
}

/// Lists who has a role; see [`holders`](store::holders).
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such role.
pub async fn holders(db: &Db, tenant: &TenantId, role: &RoleName, business: Option<&BusinessId>) -> Result<Vec<User>> {
    let mut tx = db.read().await?;
    find(&mut tx, tenant, role).await?;
    store::holders(&mut tx, tenant, role, business).await
}

/// Grants a role to a member, for everything or for one business. Granting it again changes nothing.
///
/// # Errors
/// [`Error::NotFound`] if the person is no member or the tenant has no such role, [`Error::Forbidden`] if the role may do more than
/// the caller.
pub async fn grant(
    db: &Db,
    caller: &Caller,
    user: UserId,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<Vec<Grant>> {
    let mut tx = db.begin().await?;
    let person = member(&mut tx, caller.tenant(), user).await?;
    grant_in(&mut tx, caller, &person, role, business).await?;
    let grants = store::grants_of(&mut tx, caller.tenant(), user).await?;
    tx.commit().await?;
    Ok(grants)
}

/// Grants a role within a transaction.
pub(in crate::access) async fn grant_in(
    tx: &mut Tx,
    caller: &Caller,
    user: &User,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<()> {
    let tenant = caller.tenant();
    caller.must_cover(&find(tx, tenant, role).await?.scopes)?;
    let grant = Grant {
        user_id: user.id,
        role: role.clone(),
        business_id: business.cloned(),
        granted_by: caller.actor.to_string(),
        created_at: tx.now(),
    };
    if store::insert_grant(tx, tenant, &grant).await? {
        tx.record(&caller.actor, Event::new("role.grant", "user", &user.id).after(&note(user, &grant.role, business)))
            .await?;
    }
    Ok(())
}

/// Takes a role from a member.
///
/// # Errors
/// [`Error::NotFound`] if the person does not have it, [`Error::Forbidden`] if the role may do more than the caller.
pub async fn revoke(
    db: &Db,
    caller: &Caller,
    user: UserId,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<Vec<Grant>> {
    let tenant = caller.tenant();
    let mut tx = db.begin().await?;
    let person = member(&mut tx, tenant, user).await?;
    revoke_in(&mut tx, caller, &person, role, business).await?;
    let grants = store::grants_of(&mut tx, tenant, user).await?;
    tx.commit().await?;
    Ok(grants)
}

/// Takes a role within a transaction.
pub(in crate::access) async fn revoke_in(
    tx: &mut Tx,
    caller: &Caller,
    user: &User,
    role: &RoleName,
    business: Option<&BusinessId>,
) -> Result<()> {
    let tenant = caller.tenant();
    caller.must_cover(&find(tx, tenant, role).await?.scopes)?;
    if !store::delete_grant(tx, tenant, user.id, role, business).await? {
        let of = business.map_or_else(String::new, |business| format!(" for business {business}"));
        return Err(Error::not_found("grant", &format!("of {role}{of} to {}", user.name)));
    }
    tx.record(&caller.actor, Event::new("role.revoke", "user", &user.id).before(&note(user, role, business))).await
}

/// Tells what a member is and may do in a tenant, for everything or for one business.
///
/// # Errors
/// [`Error`] of the database.
pub async fn effective_of(
    tx: &mut Tx,
    tenant: &TenantId,
    user: UserId,
    business: Option<&BusinessId>,
) -> Result<Effective> {
    let grants = store::grants_of(tx, tenant, user).await?;
    Ok(effective(&grants, &all(tx, tenant).await?, business))
}

/// Reads all roles of a tenant.
pub(in crate::access) async fn all(tx: &mut Tx, tenant: &TenantId) -> Result<Vec<Role>> {
    let made = store::made_roles(tx, tenant).await?;
    Ok(BuiltIn::ALL.into_iter().map(Role::built_in).chain(made).collect())
}

/// Reads a role, or says that the tenant has none of this name.
pub(in crate::access) async fn find(tx: &mut Tx, tenant: &TenantId, name: &RoleName) -> Result<Role> {
    let found = all(tx, tenant).await?.into_iter().find(|role| role.name == *name);
    found.ok_or_else(|| Error::not_found("role", name))
}

async fn made(tx: &mut Tx, tenant: &TenantId, name: &RoleName) -> Result<Role> {
    let role = find(tx, tenant, name).await?;
    if role.built_in {
        let cure = format!("every tenant has the role {name}, so it stays as it is: make another one");
        return Err(Error::conflict("role_built_in", cure));
    }
    Ok(role)
}

async fn member(tx: &mut Tx, tenant: &TenantId, user: UserId) -> Result<User> {
    users::member(tx, tenant, user).await?.ok_or_else(|| Error::not_found("user", &user))
}

fn apply(caller: &Caller, mut role: Role, draft: &Draft) -> Result<Role> {
    if let Some(label) = &draft.label {
        role.label = text::line("/label", label, 100)?;
    }
    if let Some(description) = &draft.description {
        role.description = text::note("/description", description, 1_000)?;
    }
    if let Some(scopes) = &draft.scopes {
        caller.must_cover(scopes)?;
        role.scopes = scopes.clone();
    }
    Ok(role)
}

fn note(user: &User, role: &RoleName, business: Option<&BusinessId>) -> serde_json::Value {
    serde_json::json!({"user": user.name, "role": role, "business_id": business})
}
