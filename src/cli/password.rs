//! Reading a password: never an argument, which every user of the host could see.

use std::io::{BufRead, IsTerminal, Write};

use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use crate::base::Secret;

/// Asks for a password at the terminal without showing it, twice; from a pipe it reads one line.
pub(super) fn read_password() -> anyhow::Result<Secret> {
    if !std::io::stdin().is_terminal() {
        return of_line(&mut std::io::stdin().lock());
    }
    let first = ask("password: ")?;
    anyhow::ensure!(first == ask("the same again: ")?, "the two are not the same: try again");
    Ok(first)
}

fn of_line(input: &mut impl BufRead) -> anyhow::Result<Secret> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!password.is_empty(), "there is no password: give one as a line on standard input");
    Ok(Secret::new(password))
}

fn ask(prompt: &str) -> anyhow::Result<Secret> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{prompt}")?;
    terminal.flush()?;
    enable_raw_mode()?;
    let typed = type_blind();
    disable_raw_mode()?;
    writeln!(terminal)?;
    typed
}

/// Takes keys until the line ends.
fn type_blind() -> anyhow::Result<Secret> {
    let mut typed = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(Secret::new(typed)),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                anyhow::bail!("no password was given")
            }
            KeyCode::Char(c) => typed.push(c),
            KeyCode::Backspace => {
                typed.pop();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_password_with_its_spaces() {
        assert_eq!(of_line(&mut " correct horse \r\nmore\n".as_bytes()).expect("reads").expose(), " correct horse ");
        assert!(of_line(&mut "\n".as_bytes()).is_err());
        assert!(of_line(&mut "".as_bytes()).is_err());
    }
}
