//! `deskhand secrets`.

use clap::Subcommand;

use super::print::{Output, line};
use crate::app::App;
use crate::base::{Actor, Key};
use crate::secrets::{BATCH, rotate, status};

#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
    /// Print a fresh key; nothing is changed.
    NewKey {},
    /// Say how many secrets are sealed under which key.
    Status {
        #[command(flatten)]
        output: Output,
    },
    /// Seal every secret anew under the present key. It may be stopped at any time and run again.
    Rotate {
        /// How many secrets one transaction seals.
        #[arg(long, default_value_t = BATCH, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        batch: u64,
        #[command(flatten)]
        output: Output,
    },
}

/// Prints a fresh key.
pub(super) fn new_key() -> anyhow::Result<()> {
    line(Key::fresh().to_text().expose())
}

pub(super) async fn run(command: Secrets, app: &App) -> anyhow::Result<()> {
    match command {
        Secrets::NewKey {} => new_key(),
        Secrets::Status { output } => {
            let counts = status(&app.db, &app.vault).await?;
            output.rows(&counts, ["COLUMN", "KEY", "SECRETS", ""], |count| {
                let key = count.key.as_ref().map_or_else(|| "not named".to_owned(), ToString::to_string);
                let note = match (count.current, count.here) {
                    (true, _) => "current",
                    (false, Some(false)) => "this process does not have that key",
                    (false, _) => "to be sealed anew: deskhand secrets rotate",
                };
                [count.column.clone(), key, count.texts.to_string(), note.to_owned()]
            })
        }
        Secrets::Rotate { batch, output } => {
            let done = rotate(&app.db, &app.vault, &Actor::terminal(app.tenant()), batch).await?;
            output.one(&done, || {
                let first = format!("{} secrets were sealed anew under the key {}", done.resealed, app.vault.key_id());
                let unreadable = done.unreadable.iter().map(|unreadable| unreadable.why.clone());
                std::iter::once(first).chain(unreadable).collect::<Vec<_>>().join("\n")
            })?;
            anyhow::ensure!(
                done.left == 0,
                "{} secrets are under other keys: give those keys as secrets.previous_keys, see that every process seals under {}, and run \
                 this again",
                done.left,
                app.vault.key_id()
            );
            Ok(())
        }
    }
}
