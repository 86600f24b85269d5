//! The files for deployment and the documents: what they name exists in the program, so that they cannot rot.

mod kubernetes;
mod names;
mod servers;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Reads every file under some directories or files, relative to the root.
fn texts(places: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(&path).expect("a readable directory").flatten().map(|entry| entry.path()));
        } else {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push((path.strip_prefix(root).expect("under the root").to_owned(), text));
        }
    }
    assert!(!found.is_empty(), "{places:?}");
    found.sort();
    found
}

fn text(place: &str) -> String {
    texts(&[place]).remove(0).1
}

/// Reads the documents of a YAML file.
fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Says whether a command line is one of the program's.
#[track_caller]
fn is_a_command(place: &str, words: &[&str]) {
    use clap::Parser;
    use clap::error::ErrorKind;

    let typed = std::iter::once("deskhand").chain(words.iter().copied());
    if let Err(error) = deskhand::cli::Args::try_parse_from(typed) {
        // What stands for a value in a document (ID, 2026-…) need not be one; what is left out is in the sentence around it.
        let told = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion, ErrorKind::ValueValidation];
        let left_out = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ErrorKind::MissingSubcommand,
        ];
        let fits = told.contains(&error.kind()) || left_out.contains(&error.kind());
        assert!(fits, "{place}: deskhand {}: {error}", words.join(" "));
    }
}
