//! `deskhand completions`.

use clap::{Args, Command};
use clap_complete::Shell;

/// Print the completions of a shell, for the file in which it looks for them.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(command: &Completions, mut program: Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(command.shell, &mut program, "deskhand", &mut text);
    super::print::line(String::from_utf8(text)?.trim_end())
}
