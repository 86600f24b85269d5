//! Making a backup.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use deskhand_jobs::queue::sqlite::SqliteQueue;
use deskhand_jobs::queue::{Endings, Queue};

use super::Places;
use super::files::{Draft, copy_new, failed, parent, settle_file, write_new};
use super::manifest::{DATABASE, FILE, KEY, Manifest, QUEUE, refused};
use super::settle::settle;
use crate::base::{Error, Result};
use crate::db::{Db, file};

/// Copies an installation into a new directory while its processes run; with its key or without.
///
/// The directory has its name when everything in it is on the disk, and not before.
///
/// # Errors
/// [`Error::Conflict`] if the directory exists, there is nothing to copy or the database is not of this version; else what cannot
/// be read or written.
pub async fn make(places: &Places, to: &Path, with_key: bool) -> Result<Manifest> {
    if to.symlink_metadata().is_ok() {
        return Err(refused(format!("{} exists: name a directory that does not", to.display())));
    }
    for path in [&places.database, &places.queue] {
        if !path.is_file() {
            let cure = "check data_dir, database.url and queue.url, and start deskhand once";
            return Err(refused(format!("there is nothing to back up at {}: {cure}", path.display())));
        }
    }
    let cannot = |error| failed("make", to, "is there room, and may this user write there?", error);
    std::fs::create_dir_all(parent(to)).map_err(cannot)?;
    let draft = Draft::beside(to).map_err(cannot)?;
    let inside = |name: &str| draft.path().join(name);
    let made_at = Utc::now();
    let key = if with_key { Some(read_key(&places.key_file)?) } else { None };
    // The order is the point: see the room's own words.
    file::copy(&places.queue, &inside(QUEUE)).await?;
    file::copy(&places.database, &inside(DATABASE)).await?;
    let migration = agree(&inside(DATABASE), &inside(QUEUE)).await?;
    let mut names = vec![DATABASE, QUEUE];
    for name in &names {
        settle_file(&inside(name)).map_err(cannot)?;
    }
    if let Some(key) = key {
        // A key that was changed while the database was copied might not open what is in the copy.
        if read_key(&places.key_file)? != key {
            return Err(refused("the key of the secrets was changed meanwhile: repeat the backup".to_owned()));
        }
        copy_new(&places.key_file, &inside(KEY)).map_err(cannot)?;
        names.push(KEY);
    }
    let manifest = Manifest::of(draft.path(), &names, made_at, migration)?;
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| Error::internal("cannot write JSON", error))?;
    write_new(&inside(FILE), text.as_bytes()).map_err(cannot)?;
    draft.keep(to).map_err(cannot)?;
    Ok(manifest)
}

fn read_key(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failed("read the key", path, "check secrets.key_file, or leave it out", error))
}

/// Makes the copies agree; returns the newest migration of the database.
async fn agree(database: &Path, queue: &Path) -> Result<i64> {
    let db = Db::open(&format!("sqlite://{}", database.display())).await?;
    let found = db.migrations().await?;
    if !found.missing.is_empty() {
        return Err(refused(
            "the database lacks migrations of this program: make the backup with the program that runs".to_owned(),
        ));
    }
    if let Some(why) = found.refusal {
        return Err(refused(why));
    }
    let copy = Arc::new(SqliteQueue::open(queue, Endings::Keep).await?);
    let port: Arc<dyn Queue> = copy.clone();
    settle(&db, &port).await?;
    // The last to close a file folds its journal into it.
    copy.close().await;
    db.close().await;
    Ok(found.applied)
}
