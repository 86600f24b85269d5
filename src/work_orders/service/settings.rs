//! Systems and their settings.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::WorkOrders;
use super::context::{adapter_of, load};
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, FieldError, PageRequest, Paged, Result, TenantId};
use crate::db::Tx;
use crate::work_orders::adapters;
use crate::work_orders::model::{Draft, Position, Sealed, SecretChange, System, SystemId};
use crate::work_orders::store::{logs, orders, parts, systems};

impl WorkOrders {
    /// Makes a system.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that is wrong; a conflict if the name is taken.
    pub async fn create_system(&self, actor: &Actor, draft: &Draft) -> Result<System> {
        let mut system = System::blank(actor.tenant.clone(), self.clock.now());
        // The form of old: a system called like its adapter.
        let by_name = || draft.name.as_ref().map(|name| name.trim().to_lowercase());
        system.system_type = draft.system_type.clone().or_else(by_name).unwrap_or_default();
        let mut wrong = Vec::new();
        if draft.api_url.is_none() {
            wrong.push(missing("/api_url", "give an address such as https://jira.example.com"));
        }
        self.apply(draft, &mut system, wrong)?;
        let mut tx = self.db.begin().await?;
        taken(systems::insert(&mut tx, &system).await, &system)?;
        tx.record(actor, Event::new("work_order_system.create", THING, &system.id).after(&noted(&system))).await?;
        tx.commit().await?;
        Ok(system)
    }

    /// Changes the settings of a system. What the draft leaves out stays as it is.
    ///
    /// # Errors
    /// As [`WorkOrders::create_system`]; a conflict if the version of the draft is not the present one.
    pub async fn update_system(&self, actor: &Actor, id: SystemId, draft: &Draft) -> Result<System> {
        let mut tx = self.db.begin().await?;
        let old = load(&mut tx, &actor.tenant, id).await?;
        if draft.version.is_some_and(|version| version != old.version) {
            return Err(moved_on());
        }
        let mut system = old.clone();
        let mut wrong = Vec::new();
        if draft.system_type.as_ref().is_some_and(|kind| *kind != old.system_type) {
            wrong.push(missing("/system_type", "the type of a system stays as it was made: make another system"));
        }
        self.apply(draft, &mut system, wrong)?;
        let away = system.api_url.origin() != old.api_url.origin();
        if away {
            refuse_to_take_along(draft, &old)?;
        }
        if away || system.settings != old.settings || system.mapping != old.mapping {
            // The mark belongs to the data of the other site; new words have to reach tickets that do not change any more.
            system.cursor_at = None;
            // Else a run under way would move the mark past what it stored with the old words. Before the row of the system, as
            // a run does it, or the two could wait for each other.
            let beginning = Position::start(None, system.first_window(tx.now()));
            logs::restart(&mut tx, &system, &beginning).await?;
        }
        if system.api_url != old.api_url || system.settings != old.settings || system.mapping != old.mapping {
            // What reads a part of it now reads something else.
            parts::drop_all(&mut tx, &system).await?;
        }
        self.save(tx, actor, &old, system).await
    }

    /// Lets a system take part in the periodic synchronisation, or not.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn set_active(&self, actor: &Actor, id: SystemId, is_active: bool) -> Result<System> {
        let mut tx = self.db.begin().await?;
        let system = load(&mut tx, &actor.tenant, id).await?;
        if system.is_active == is_active {
            return Ok(system);
        }
        let changed = System { is_active, ..system.clone() };
        self.save(tx, actor, &system, changed).await
    }

    /// Removes a system. Its tickets go along only if `cascade` says so.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a conflict while there are tickets.
    pub async fn delete_system(&self, actor: &Actor, id: SystemId, cascade: bool) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let system = load(&mut tx, &actor.tenant, id).await?;
        let count = orders::count_of(&mut tx, &system).await?;
        if count > 0 && !cascade {
            let cure = "disable it, or delete with cascade=true to remove them too";
            return Err(Error::conflict("has_work_orders", format!("the system has {count} work orders: {cure}")));
        }
        systems::delete(&mut tx, id).await?;
        let gone = json!({"system": noted(&system), "work_orders": count});
        tx.record(actor, Event::new("work_order_system.delete", THING, &id).before(&gone)).await?;
        tx.commit().await
    }

    /// Reads one system.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn system(&self, tenant: &TenantId, id: SystemId) -> Result<System> {
        load(&mut self.db.read().await?, tenant, id).await
    }

    /// Reads the systems of a tenant, by name.
    ///
    /// # Errors
    /// [`Error`] if the database does not answer.
    pub async fn systems(&self, tenant: &TenantId, page: PageRequest) -> Result<Paged<System>> {
        systems::list(&mut self.db.read().await?, tenant, page).await
    }

    /// Puts the draft over the system, checks the whole and seals the secrets.
    fn apply(&self, draft: &Draft, system: &mut System, mut wrong: Vec<FieldError>) -> Result<()> {
        wrong.extend(draft.apply(system));
        for (change, field) in [(&draft.api_key, "api_key"), (&draft.password, "password")] {
            let sealed = if field == "api_key" { &mut system.api_key } else { &mut system.password };
            match change {
                SecretChange::Keep => {}
                SecretChange::Clear => *sealed = None,
                SecretChange::Set(secret) => {
                    *sealed = Some(Sealed(self.vault.seal(secret, &System::place(system.id, field))));
                }
            }
        }
        match adapters::find(&system.system_type) {
            Some(adapter) => {
                let connection = self.connect(system)?;
                wrong.extend(adapter.about().check(&connection));
                wrong.extend(adapter.check(&connection));
            }
            None => match adapter_of(&system.system_type) {
                Err(Error::Invalid(fields)) => wrong.extend(fields),
                _ => unreachable!("an adapter that is not found is refused"),
            },
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }

    async fn save(&self, mut tx: Tx, actor: &Actor, old: &System, mut system: System) -> Result<System> {
        system.updated_at = tx.now();
        // Somebody has just done something about it: it deserves a fresh try.
        system.failure_streak = 0;
        system.blocked_until = None;
        let written = systems::update(&mut tx, &system).await;
        if !taken(written, &system)? {
            return Err(moved_on());
        }
        let event = Event::new("work_order_system.update", THING, &system.id);
        tx.record(actor, event.before(&noted(old)).after(&noted(&system))).await?;
        tx.commit().await?;
        system.version += 1;
        Ok(system)
    }
}

/// What the audit record calls a system.
const THING: &str = "work_order_system";

/// Tells the settings of a system without its secrets: whether there is one, and whether it is another one, shows in its mark.
fn noted(system: &System) -> Value {
    let mark = |sealed: &Option<Sealed>| {
        sealed.as_ref().map(|sealed| format!("sealed {}", &URL_SAFE_NO_PAD.encode(Sha256::digest(&sealed.0))[..8]))
    };
    json!({
        "name": system.name, "system_type": system.system_type, "api_url": system.api_url, "username": system.username,
        "sealed_api_key": mark(&system.api_key), "sealed_password": mark(&system.password),
        "is_active": system.is_active, "sync_interval": system.sync_interval, "initial_days": system.initial_days,
        "settings": system.settings, "mapping": system.mapping,
    })
}

fn missing(pointer: &str, message: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), message: message.to_owned() }
}

fn moved_on() -> Error {
    Error::conflict("version_moved", "the system was changed meanwhile: read it again and repeat the change")
}

/// Secrets must not follow an address to another host unless who moves it knows them.
fn refuse_to_take_along(draft: &Draft, old: &System) -> Result<()> {
    let kept = [("/api_key", &draft.api_key, &old.api_key), ("/password", &draft.password, &old.password)];
    let wrong: Vec<_> = kept
        .into_iter()
        .filter(|(_, change, secret)| **change == SecretChange::Keep && secret.is_some())
        .map(|(pointer, ..)| {
            missing(pointer, "the address now names another host: enter the secret again, or clear it")
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
}

fn taken<T>(written: Result<T>, system: &System) -> Result<T> {
    match written {
        Err(error) if error.is_unique_violation() => {
            let message = format!("another system is called {:?}: give this one another name", system.name);
            Err(Error::conflict("name_taken", message))
        }
        other => other,
    }
}
