//! Settings, figures, commands and paths that files and documents name.

use std::collections::BTreeSet;

use deskhand::config;

use super::{is_a_command, text, texts};
use crate::fixtures::TestApp;

const EVERYWHERE: [&str; 5] = ["config/deploy", "config/prometheus", "config/grafana", "docs", "README.md"];

/// Returns the words that begin with a prefix and go on with letters that `goes_on` takes.
fn words(text: &str, prefix: &str, goes_on: fn(char) -> bool) -> BTreeSet<String> {
    let starts = text.match_indices(prefix).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    starts
        .map(|(at, _)| text[at..].chars().take_while(|c| goes_on(*c)).collect::<String>())
        .map(|word| word.trim_end_matches('_').to_owned())
        .filter(|word| word.len() > prefix.len())
        .collect()
}

#[test]
fn every_variable_is_a_setting() {
    // Of compose itself, and of the tests.
    let others = ["DESKHAND_DB_PASSWORD", "DESKHAND_TEST", "DESKHAND_SECTION__KEY"];
    let mut seen = 0;
    for (path, text) in texts(&EVERYWHERE) {
        let names = words(&text, "DESKHAND_", |c| c.is_ascii_uppercase() || c == '_');
        for name in names.iter().filter(|name| !others.contains(&name.as_str())) {
            seen += 1;
            let loaded = config::load(None, [(name.clone(), "1".to_owned())]);
            let told = loaded.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!told.contains("there is no setting"), "{}: {told}", path.display());
        }
    }
    assert!(seen > 20, "they were found: {seen}");
}

#[test]
fn every_figure_is_told() {
    let code = texts(&["src", "jobs/src"]);
    let quoted: Vec<&str> = code.iter().flat_map(|(_, text)| text.split('"').skip(1)).collect();
    let known: BTreeSet<&str> = quoted.into_iter().filter(|word| word.starts_with("deskhand_")).collect();
    let mut seen = BTreeSet::new();
    for (path, text) in texts(&["config/deploy", "config/prometheus", "config/grafana", "docs"]) {
        for name in words(&text, "deskhand_", |c| c.is_ascii_lowercase() || c == '_') {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            assert!(known.contains(base), "{}: there is no figure {name}", path.display());
            seen.insert(base.to_owned());
        }
    }
    assert!(seen.len() > 12 && known.len() > 15, "they were found: {seen:?}");
}

#[test]
fn every_command_of_the_documents_exists() {
    let mut seen = 0;
    for (path, text) in texts(&["docs", "README.md"]) {
        let place = path.display().to_string();
        let mut in_shell = false;
        // A command that goes on in the next line is one.
        for line in text.replace("\\\n", " ").lines() {
            if line.starts_with("```") {
                in_shell = line == "```sh";
                continue;
            }
            let typed: Vec<&str> = if in_shell {
                line.split("&&").filter_map(command_in).collect()
            } else {
                line.split('`').skip(1).step_by(2).filter_map(command_in).collect()
            };
            for command in typed {
                let words = typed_words(command);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                // Followed by what it is said to be: "deskhand dead groups" names no argument and needs none.
                is_a_command(&place, &words);
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "they were found: {seen}");
}

/// Divides a command as a shell does: quotes hold words together, and what ends a command outside them ends it here.
fn typed_words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) = (Vec::new(), None, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ';' | '|' | '>' | '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Returns what is typed behind the program's name, with settings in front of it or not.
fn command_in(part: &str) -> Option<&str> {
    let mut rest = part.trim_start();
    loop {
        let (word, behind) = rest.split_once(' ')?;
        match word {
            "deskhand" => return Some(behind),
            "sudo" => rest = behind.trim_start(),
            set if set.contains('=') && set.starts_with(char::is_uppercase) => rest = behind.trim_start(),
            _ => return None,
        }
    }
}

#[tokio::test]
async fn the_paths_of_probes_answer_without_a_token() {
    let test = TestApp::new().await;
    for path in ["/health", "/ready"] {
        assert_eq!(test.call_with("", "GET", path, None).await.status, 200, "{path}");
    }
    let test = TestApp::with(&[("DESKHAND_METRICS__PUBLIC", "true")]).await;
    assert_eq!(test.call_with("", "GET", "/metrics", None).await.status, 200);
}

#[test]
fn every_alert_has_its_chapter_in_the_runbook() {
    let rules = super::yaml(&text("config/prometheus/deskhand.rules.yaml")).remove(0);
    let runbook = text("docs/runbook.md").to_lowercase();
    let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() > 8);
    for rule in rules {
        let chapter = rule["annotations"]["runbook"].as_str().expect("a chapter");
        assert!(runbook.contains(&format!("\n## {chapter}\n")), "docs/runbook.md has no chapter {chapter:?}");
    }
}

#[test]
fn the_dashboard_and_the_scrape_are_well_formed() {
    let board: serde_json::Value = serde_json::from_str(&text("config/grafana/deskhand.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    assert!(panels.len() > 10 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
    let scrape = super::yaml(&text("config/prometheus/scrape.yaml")).remove(0);
    assert_eq!(scrape["scrape_configs"][0]["metrics_path"], "/metrics");
    let file = scrape["rule_files"][0].as_str().expect("a file");
    assert!(!text(&format!("config/prometheus/{file}")).is_empty());
}
