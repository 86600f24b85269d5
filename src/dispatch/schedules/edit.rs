//! What people do with what a schedule is: make one, edit it, bring it back to its declaration, remove it.

use deskhand_jobs::Registry;

use super::declare::{apply, blank, change};
use super::definition::{Definition, Edit, is_known};
use super::model::Schedule;
use super::service::{OBJECT, find, moved, noted};
use super::store;
use crate::audit::{Event, Record};
use crate::base::{Actor, Error, Result};
use crate::db::Db;

/// The longest name of a schedule that a person makes.
const MAX_NAME_CHARS: usize = 100;

/// Makes a schedule that the configuration does not know.
///
/// # Errors
/// [`Error::Invalid`] names what is wrong; a conflict (`name_taken`) if there is one of this name.
pub async fn create(
    db: &Db,
    registry: &Registry,
    actor: &Actor,
    name: &str,
    definition: &Definition,
) -> Result<Schedule> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || !name.chars().all(plain) {
        let rule = format!("a name has 1 to {MAX_NAME_CHARS} letters, digits and '.', '_', '-'");
        return Err(Error::field("/name", format!("{rule}, as in reports.weekly")));
    }
    definition.check(registry)?;
    let mut tx = db.begin().await?;
    let now = tx.now();
    // Edited: a declaration that comes later under this name does not take it away from who made it.
    let mut schedule = Schedule { edited: true, ..blank(&actor.tenant, name, definition, now) };
    apply(&mut schedule, definition, now)?;
    if !store::insert(&mut tx, &schedule).await? {
        let message = format!("there is a schedule {name} already: choose another name, or edit that one");
        return Err(Error::conflict("name_taken", message));
    }
    tx.record(actor, Event::new("schedule.create", OBJECT, name).after(&noted(&schedule))).await?;
    tx.commit().await?;
    Ok(schedule)
}

/// Changes what a schedule is. From then on it is as people want it, whatever the configuration says.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Invalid`] names what is wrong; a conflict if somebody changed it meanwhile (`version_moved`), or if
/// it is switched on and this program does not know its kind (`unknown_kind`).
pub async fn edit(
    db: &Db,
    registry: &Registry,
    actor: &Actor,
    name: &str,
    version: i64,
    edit: Edit,
) -> Result<Schedule> {
    let enables = edit.enabled == Some(true);
    rewrite(db, registry, actor, "schedule.edit", name, |before| {
        if before.version != version {
            return Err(moved(name));
        }
        if enables && !is_known(registry, &before.kind) {
            let cure = "leave it switched off until a program that knows the kind runs here";
            let message =
                format!("schedule {name} enqueues {}, a kind that is not known to this program: {cure}", before.kind);
            return Err(Error::conflict("unknown_kind", message));
        }
        Ok((true, Definition::of(before)?.with(edit)))
    })
    .await
}

/// Brings a schedule back to what the configuration declares.
///
/// # Errors
/// [`Error::NotFound`]; a conflict (`not_declared`) if the configuration does not know it.
pub async fn reset(db: &Db, registry: &Registry, actor: &Actor, name: &str) -> Result<Schedule> {
    rewrite(db, registry, actor, "schedule.reset", name, |before| {
        let Some(declaration) = before.declaration.as_ref().filter(|_| before.declared) else {
            let message = format!("schedule {name} is not declared in the configuration: edit or remove it");
            return Err(Error::conflict("not_declared", message));
        };
        let definition = serde_json::from_str(declaration)
            .map_err(|error| Error::internal(format!("the declaration of schedule {name} cannot be read"), error))?;
        Ok((false, definition))
    })
    .await
}

/// Removes a schedule that is not declared, with what is known of its slots. Its jobs stay.
///
/// # Errors
/// [`Error::NotFound`]; a conflict (`declared`) if the configuration would bring it back.
pub async fn remove(db: &Db, actor: &Actor, name: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    let schedule = find(&mut tx, &actor.tenant, name).await?;
    if schedule.declared {
        let cure = "take it out of the configuration, or switch it off";
        let message = format!("schedule {name} is declared in the configuration, which would bring it back: {cure}");
        return Err(Error::conflict("declared", message));
    }
    if !store::delete(&mut tx, &schedule).await? {
        return Err(moved(name));
    }
    tx.record(actor, Event::new("schedule.remove", OBJECT, name).before(&noted(&schedule))).await?;
    tx.commit().await
}

/// Puts another definition into a schedule; `turn` says whether it counts as edited, and the definition.
async fn rewrite(
    db: &Db,
    registry: &Registry,
    actor: &Actor,
    action: &'static str,
    name: &str,
    turn: impl FnOnce(&Schedule) -> Result<(bool, Definition)>,
) -> Result<Schedule> {
    let mut tx = db.begin().await?;
    let now = tx.now();
    let before = find(&mut tx, &actor.tenant, name).await?;
    let (edited, definition) = turn(&before)?;
    definition.check(registry)?;
    let mut after = before.clone();
    change(&mut tx, &mut after, &definition, now).await?;
    (after.edited, after.updated_at, after.last_error) = (edited, now, None);
    if !store::update(&mut tx, &after).await? {
        return Err(moved(name));
    }
    after.version += 1;
    tx.record(actor, Event::new(action, OBJECT, name).before(&noted(&before)).after(&noted(&after))).await?;
    tx.commit().await?;
    Ok(after)
}
