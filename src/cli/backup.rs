//! `deskhand backup` and `deskhand restore`.

use std::path::PathBuf;

use clap::Args;

use super::print::{Output, at};
use crate::backup::{self, Places};
use crate::base::shown;
use crate::config::Config;
use crate::db::file;

/// Copy the embedded database and queue and the key of the secrets into a new directory, while processes run.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The directory to make; it must not exist.
    directory: PathBuf,
    /// Leave the key of the secrets out: keep it elsewhere, without it no credential of the backup can be read.
    #[arg(long)]
    without_key: bool,
    #[command(flatten)]
    output: Output,
}

/// Put a backup in the place of the embedded database and queue; no process may be running.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The directory that `deskhand backup` has made.
    directory: PathBuf,
    /// Set data aside that are there, under names that say so.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn make(command: Backup, config: &Config) -> anyhow::Result<()> {
    let manifest = backup::make(&places(config)?, &command.directory, !command.without_key).await?;
    command.output.one(&manifest, || {
        let bytes: u64 = manifest.files.iter().map(|file| file.size_bytes).sum();
        let key = if manifest.has_key() { "with the key of the secrets" } else { "without the key of the secrets" };
        format!(
            "{} has everything accepted until {}, {bytes} bytes, {key}",
            command.directory.display(),
            at(manifest.made_at)
        )
    })
}

pub(super) async fn restore(command: Restore, config: &Config) -> anyhow::Result<()> {
    let places = places(config)?;
    let restored = backup::restore(&places, &command.directory, command.force).await?;
    command.output.one(&restored, || {
        let mut lines = vec![format!("restored what was accepted until {}", at(restored.manifest.made_at))];
        lines.extend(restored.set_aside.iter().map(|path| format!("what was there before is now {}", path.display())));
        if !restored.manifest.has_key() {
            lines.push(format!(
                "the key of the secrets was not in it: put it at {} before the start",
                places.key_file.display()
            ));
        }
        lines.push("start deskhand, then look at `deskhand doctor`".to_owned());
        lines.join("\n")
    })
}

/// Finds the embedded storage, or says how a server is backed up.
fn places(config: &Config) -> anyhow::Result<Places> {
    let (database, queue) =
        (file::file_of(&config.database.url), config.queue.url.strip_prefix("sqlite://").map(PathBuf::from));
    let key_file = config.secrets.key_file.clone();
    if let (Some(database), Some(queue)) = (database.clone(), queue.clone()) {
        return Ok(Places { database, queue, key_file });
    }
    let mut cures = Vec::new();
    if database.is_none() {
        cures.push(format!("{} is backed up with pg_dump", shown(&config.database.url)));
    }
    if queue.is_none() {
        let url = shown(&config.queue.url);
        cures.push(format!("{url} needs no backup, and is emptied when an older database is restored"));
    }
    anyhow::bail!("this command is for the embedded storage: {}; docs/backup.md says how", cures.join("; "))
}
