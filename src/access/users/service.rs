//! Accounts: making, changing, disabling them, and their passwords. Nobody changes the account of somebody who may do more.

use super::model::{self, Change, Draft, User};
use super::store;
use crate::access::context::Access;
use crate::access::model::Caller;
use crate::access::roles::{Role, reach, service as roles, store as grants};
use crate::access::scope::Scopes;
use crate::access::sessions::{SessionId, store as sessions};
use crate::access::{tenants, text};
use crate::audit::{Event, Record};
use crate::base::{Error, PageRequest, Paged, Result, Secret, TenantId, UserId};
use crate::db::Tx;

impl Access {
    /// Makes a person, a member of the caller's tenant.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that does not fit, [`Error::Conflict`] (`user_taken`) for a name that is taken, in whatever
    /// tenant.
    pub async fn create_user(&self, caller: &Caller, draft: &Draft) -> Result<User> {
        let name = model::name(&draft.name)?;
        let tenant = caller.tenant();
        let mut user = User::blank(tenant.clone(), name, self.db.clock().now());
        user.apply(&draft.change)?;
        let mut hash = None;
        if let Some(password) = &draft.password {
            model::password("/password", password, &user.name)?;
            hash = Some(self.passwords.keep(password).await?);
            user.must_change_password = draft.must_change_password.unwrap_or(true);
        }
        let mut tx = self.db.begin().await?;
        tenants::service::find(&mut tx, tenant).await?;
        if !store::insert(&mut tx, &user, hash.as_deref(), None).await? {
            let cure = format!("there is a user named {}: choose another name", user.name);
            return Err(Error::conflict("user_taken", cure));
        }
        store::join(&mut tx, tenant, user.id).await?;
        tx.record(&caller.actor, Event::new("user.create", "user", &user.id).after(&user)).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Lists the members of a tenant by name; `part` narrows to those in whose names it occurs.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn users(&self, tenant: &TenantId, part: Option<&str>, page: PageRequest) -> Result<Paged<User>> {
        let mut tx = self.db.read().await?;
        store::members(&mut tx, tenant, part, page).await
    }

    /// Reads a member of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the tenant has none of this id.
    pub async fn user(&self, tenant: &TenantId, id: UserId) -> Result<User> {
        let mut tx = self.db.read().await?;
        member(&mut tx, tenant, id).await
    }

    /// Reads a person by name, whatever its tenants: for the command line, which stands above them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none of this name.
    pub async fn user_named(&self, name: &str) -> Result<User> {
        let mut tx = self.db.read().await?;
        let found = store::by_name(&mut tx, &name.trim().to_lowercase()).await?;
        found.ok_or_else(|| Error::not_found("user", name))
    }

    /// Lists the tenants of which a person is a member.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn memberships(&self, id: UserId) -> Result<Vec<TenantId>> {
        let mut tx = self.db.read().await?;
        store::memberships(&mut tx, id, false).await
    }

    /// Makes somebody a member of the caller's tenant; a member stays one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is nobody of this name.
    pub async fn add_member(&self, caller: &Caller, name: &str) -> Result<User> {
        let mut tx = self.db.begin().await?;
        tenants::service::find(&mut tx, caller.tenant()).await?;
        let found = store::by_name(&mut tx, &name.trim().to_lowercase()).await?;
        let user = found.ok_or_else(|| Error::not_found("user", name))?;
        if store::join(&mut tx, caller.tenant(), user.id).await? {
            tx.record(&caller.actor, Event::new("user.join", "user", &user.id).after(&user)).await?;
            tx.commit().await?;
        }
        Ok(user)
    }

    /// Ends a membership with all its roles. Who is a member nowhere else may not come in any more, but is not forgotten: what it did
    /// still has a name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the person is no member, [`Error::Forbidden`] if it may do more than the caller.
    pub async fn remove_user(&self, caller: &Caller, id: UserId) -> Result<()> {
        let tenant = caller.tenant();
        let mut tx = self.db.begin().await?;
        let before = member(&mut tx, tenant, id).await?;
        not_oneself(caller, id)?;
        caller.must_cover(&reach_in(&mut tx, tenant, id).await?)?;
        store::leave(&mut tx, tenant, id).await?;
        sessions::end_in(&mut tx, id, tenant).await?;
        let mut user = before.clone();
        user.updated_at = tx.now();
        match store::memberships(&mut tx, id, false).await?.into_iter().next() {
            Some(next) if user.tenant_id == *tenant => user.tenant_id = next,
            Some(_) => {}
            None => user.disabled_at = user.disabled_at.or(Some(tx.now())),
        }
        if !store::update(&mut tx, &user).await? {
            return Err(text::moved_on("user", &user.name));
        }
        tx.record(&caller.actor, Event::new("user.leave", "user", &id).before(&before)).await?;
        tx.commit().await
    }

    /// Changes what is told about a member.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the person is no member, [`Error::Invalid`] with every field that does not fit, [`Error::Forbidden`] if
    /// the account is not the caller's to change, [`Error::Conflict`] if the version has moved on.
    pub async fn change_user(
        &self,
        caller: &Caller,
        id: UserId,
        change: &Change,
        version: Option<i64>,
    ) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let before = account(&mut tx, caller, id).await?;
        let mut user = before.clone();
        user.apply(change)?;
        if version.is_some_and(|version| version != before.version) {
            return Err(text::moved_on("user", &user.name));
        }
        let user = write(&mut tx, caller, "user.update", &before, user).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Lets a person change what is told about itself.
    ///
    /// # Errors
    /// As [`Access::change_user`].
    pub async fn change_myself(
        &self,
        caller: &Caller,
        id: UserId,
        change: &Change,
        version: Option<i64>,
    ) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let before = member(&mut tx, caller.tenant(), id).await?;
        if version.is_some_and(|version| version != before.version) {
            return Err(text::moved_on("user", &before.name));
        }
        let mut user = before.clone();
        user.apply(change)?;
        let user = write(&mut tx, caller, "user.update", &before, user).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Refuses a person from now on; its sessions end.
    ///
    /// # Errors
    /// As [`Access::change_user`]; [`Error::Conflict`] (`oneself`) for the caller's own account.
    pub async fn disable_user(&self, caller: &Caller, id: UserId) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let before = account(&mut tx, caller, id).await?;
        not_oneself(caller, id)?;
        let user = User { disabled_at: before.disabled_at.or(Some(tx.now())), ..before.clone() };
        let user = write(&mut tx, caller, "user.disable", &before, user).await?;
        sessions::end_all(&mut tx, id, None).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Lets a disabled person come in again.
    ///
    /// # Errors
    /// As [`Access::change_user`].
    pub async fn enable_user(&self, caller: &Caller, id: UserId) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let before = account(&mut tx, caller, id).await?;
        let user = User { disabled_at: None, ..before.clone() };
        let user = write(&mut tx, caller, "user.enable", &before, user).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Gives a person another password; all its sessions end, and failed sign-ins by its name are forgotten.
    ///
    /// # Errors
    /// As [`Access::change_user`]; [`Error::Invalid`] for a password that does not fit.
    pub async fn set_password(
        &self,
        caller: &Caller,
        id: UserId,
        password: &Secret,
        must_change: bool,
    ) -> Result<User> {
        // First the cheap look, and no transaction while the password is hashed.
        let mut tx = self.db.read().await?;
        let user = account(&mut tx, caller, id).await?;
        tx.rollback().await?;
        model::password("/password", password, &user.name)?;
        let hash = self.passwords.keep(password).await?;
        let mut tx = self.db.begin().await?;
        let before = account(&mut tx, caller, id).await?;
        let user = User { must_change_password: must_change, ..before.clone() };
        store::set_password_hash(&mut tx, id, &hash).await?;
        let user = write(&mut tx, caller, "user.set_password", &before, user).await?;
        sessions::end_all(&mut tx, id, None).await?;
        sessions::forget_name(&mut tx, &user.name).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Lets a person choose another password; its other sessions end.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the old password is wrong or the new one does not fit, [`Error::TooOften`] after too many wrong ones.
    pub async fn change_my_password(
        &self,
        caller: &Caller,
        (id, session): (UserId, SessionId),
        old: &Secret,
        new: &Secret,
    ) -> Result<User> {
        let mut tx = self.db.read().await?;
        let user = member(&mut tx, caller.tenant(), id).await?;
        tx.rollback().await?;
        if !self.is_password(&user, old, caller.actor.address).await? {
            return Err(Error::field("/old", "this is not the present password"));
        }
        model::password("/new", new, &user.name)?;
        if old == new {
            return Err(Error::field("/new", "it is the present password: choose another one"));
        }
        let hash = self.passwords.keep(new).await?;
        let mut tx = self.db.begin().await?;
        let before = member(&mut tx, caller.tenant(), id).await?;
        let user = User { must_change_password: false, ..before.clone() };
        store::set_password_hash(&mut tx, id, &hash).await?;
        let user = write(&mut tx, caller, "user.change_password", &before, user).await?;
        sessions::end_all(&mut tx, id, Some(session)).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Forgets the failed sign-ins by the name of a member, so that it may try again at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the person is no member of the caller's tenant.
    pub async fn unlock_user(&self, caller: &Caller, id: UserId) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let user = member(&mut tx, caller.tenant(), id).await?;
        if sessions::forget_name(&mut tx, &user.name).await? {
            tx.record(&caller.actor, Event::new("user.unlock", "user", &id)).await?;
            tx.commit().await?;
        }
        Ok(user)
    }
}

async fn member(tx: &mut Tx, tenant: &TenantId, id: UserId) -> Result<User> {
    store::member(tx, tenant, id).await?.ok_or_else(|| Error::not_found("user", &id))
}

/// Reads a member whose account the caller may change.
async fn account(tx: &mut Tx, caller: &Caller, id: UserId) -> Result<User> {
    let user = member(tx, caller.tenant(), id).await?;
    let memberships = store::memberships(tx, id, false).await?;
    if !model::keeps(caller.tenant(), &memberships) {
        let first = TenantId::default();
        let message = format!("{} is a member of several tenants: the account is kept from tenant {first}", user.name);
        return Err(Error::Forbidden { message });
    }
    for tenant in &memberships {
        caller.must_cover(&reach_in(tx, tenant, id).await?)?;
    }
    Ok(user)
}

/// Tells the most that a person may do in a tenant.
async fn reach_in(tx: &mut Tx, tenant: &TenantId, id: UserId) -> Result<Scopes> {
    let granted = grants::grants_of(tx, tenant, id).await?;
    let all: Vec<Role> = roles::all(tx, tenant).await?;
    Ok(reach(&granted, &all))
}

fn not_oneself(caller: &Caller, id: UserId) -> Result<()> {
    if caller.actor.id.as_deref() == Some(id.to_string().as_str()) {
        return Err(Error::conflict("oneself", "nobody shuts themselves out: ask another administrator"));
    }
    Ok(())
}

async fn write(tx: &mut Tx, caller: &Caller, action: &'static str, before: &User, mut user: User) -> Result<User> {
    user.updated_at = tx.now();
    if !store::update(tx, &user).await? {
        return Err(text::moved_on("user", &user.name));
    }
    user.version += 1;
    tx.record(&caller.actor, Event::new(action, "user", &user.id).before(before).after(&user)).await?;
    Ok(user)
}
