//! What commands print: a table for people, or with `--json` what the API answers.

use std::io::Write;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

/// The option of every listing.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Output {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Says whether a program reads.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints rows: as JSON the values themselves, else a table of what `cells` makes of each.
    pub(super) fn rows<T: Serialize, const N: usize>(
        self,
        rows: &[T],
        heads: [&str; N],
        cells: impl Fn(&T) -> [String; N],
    ) -> anyhow::Result<()> {
        if self.json {
            return line(&serde_json::to_string_pretty(rows)?);
        }
        let cells: Vec<[String; N]> = rows.iter().map(cells).collect();
        line(table(heads, &cells).trim_end())
    }

    /// Prints one thing: as JSON the value itself, else the text.
    pub(super) fn one<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.json { line(&serde_json::to_string_pretty(value)?) } else { line(&text()) }
    }
}

/// Prints a line. A reader that has gone, as in `| head`, is no error.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes a table whose columns are as wide as their widest cell.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in std::iter::once(heads.map(str::to_owned)).chain(rows.iter().cloned()) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Shows an optional value; a dash stands for nothing.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Shows an instant to the second.
pub(super) fn at(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Cuts a text to one line of so many characters.
pub(super) fn short(text: &str, chars: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars {
        return line.to_owned();
    }
    line.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "2".to_owned()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME  N\na     1\nlong  2\n");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("abc\ndef", 4), "abc");
        assert_eq!(or_dash(None::<u8>), "-");
    }
}
