//! Restoring a backup.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::Places;
use super::files::{copy_new, failed, parent, sum, sync_directory};
use super::manifest::{DATABASE, KEY, Manifest, QUEUE, refused};
use crate::base::Result;
use crate::db::{Db, file};

/// What a restore did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Restored {
    /// The backup.
    pub manifest: Manifest,
    /// Where the data are now that were there before.
    pub set_aside: Vec<PathBuf>,
}

/// Puts a backup in the place of an installation. With `force` data that are there are set aside, else they are a reason to stop.
///
/// # Errors
/// [`Error::Conflict`](crate::base::Error::Conflict) if the backup is not whole or not for this program, data are there, or a
/// process has them open; else what cannot be read or written. Then nothing was changed, or what was is named.
pub async fn restore(places: &Places, from: &Path, force: bool) -> Result<Restored> {
    let manifest = Manifest::read(from)?;
    // The database comes last: a process that starts before finds data missing, and not half of them.
    let mut moves = vec![(QUEUE, &places.queue), (DATABASE, &places.database)];
    if manifest.has_key() {
        moves.insert(0, (KEY, &places.key_file));
    }
    for path in [&places.queue, &places.database] {
        if path.is_file() && file::is_held(path).await? {
            let cure = "stop every deskhand process of this data, then restore";
            return Err(refused(format!("{} is in use: {cure}", path.display())));
        }
    }
    let there: Vec<&Path> = moves.iter().map(|(_, path)| path.as_path()).filter(|path| path.exists()).collect();
    if !there.is_empty() && !force {
        let there: Vec<String> = there.iter().map(|path| path.display().to_string()).collect();
        let cure = "restore into another data_dir, or give --force, which sets them aside";
        return Err(refused(format!("there are data already ({}): {cure}", there.join(", "))));
    }

    let drafts =
        moves.iter().map(|(name, path)| Fresh::copy(&manifest, from, name, path)).collect::<Result<Vec<_>>>()?;
    fits(&drafts[drafts.len() - 1].path).await?;
    let mut set_aside = Vec::new();
    let stamp = Utc::now().format("before-%Y%m%dT%H%M%SZ").to_string();
    for (_, path) in &moves {
        set_aside.extend(aside(path, &stamp)?);
    }
    for (draft, (_, path)) in drafts.iter().zip(&moves) {
        let cannot = |error| failed("put in place", path, "may this user write there?", error);
        std::fs::rename(&draft.path, path).map_err(cannot)?;
        sync_directory(parent(path)).map_err(cannot)?;
    }
    Ok(Restored { manifest, set_aside })
}

/// A copy beside the place where it is to be; dropped before it got there, it is gone.
struct Fresh {
    path: PathBuf,
}

impl Fresh {
    fn copy(manifest: &Manifest, from: &Path, name: &str, place: &Path) -> Result<Self> {
        let cannot = |error| failed("write", place, "is there room, and may this user write there?", error);
        std::fs::create_dir_all(parent(place)).map_err(cannot)?;
        let fresh = Self { path: named(place, &format!(".{:016x}.restoring", rand::random::<u64>())) };
        copy_new(&from.join(name), &fresh.path).map_err(cannot)?;
        let (_, sha256) = sum(&fresh.path)?;
        if manifest.item(name).is_none_or(|item| item.sha256 != sha256) {
            return Err(refused(format!("{name} changed while it was copied: take another backup")));
        }
        Ok(fresh)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // It has its own name by then, or is not wanted.
        for suffix in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(named(&self.path, suffix)));
        }
    }
}

/// Proves that this program can work on the copied database.
async fn fits(database: &Path) -> Result<()> {
    let db = Db::open(&format!("sqlite://{}", database.display())).await?;
    let found = db.migrations().await;
    db.close().await;
    found?.refusal.map_or(Ok(()), |why| Err(refused(format!("the backup is not for this program: {why}"))))
}

/// Moves a file and its journal out of the way; returns where they are.
fn aside(path: &Path, stamp: &str) -> Result<Vec<PathBuf>> {
    let mut moved = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let (old, new) = (named(path, suffix), named(path, &format!(".{stamp}{suffix}")));
        if old.exists() {
            std::fs::rename(&old, &new).map_err(|error| failed("set aside", &old, "may this user?", error))?;
            moved.push(new);
        }
    }
    Ok(moved)
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}
