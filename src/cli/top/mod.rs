//! `deskhand top`: a live view in the terminal.
//!
//! `look` reads, `model` makes of two looks what is shown, `view` draws it and does nothing else, `screen` has the terminal and
//! the keys.

mod look;
mod model;
mod screen;
mod view;

use std::time::Duration;

use clap::Args;

use super::print::line;
use crate::app::App;
use look::look;
use model::{Model, Screen};

/// Watch queues, workers and the latest failures.
#[derive(Debug, Args)]
pub(super) struct Top {
    /// Print one picture and end, for scripts.
    #[arg(long)]
    once: bool,
    /// How often it looks, in seconds.
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    every_s: u64,
}

/// The width of a picture that no terminal bounds.
const WIDTH: u16 = 120;

pub(super) async fn run(command: Top, app: &App) -> anyhow::Result<()> {
    let every = Duration::from_secs(command.every_s);
    if command.once {
        let screen = Screen::new(Model::of(&look(app).await?, None), every);
        return line(&view::text(&screen, WIDTH)?);
    }
    anyhow::ensure!(
        std::io::IsTerminal::is_terminal(&std::io::stdout()),
        "the output is no terminal: `deskhand top --once` prints one picture"
    );
    screen::watch(app, every).await
}
