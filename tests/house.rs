//! The rules of the house that no lint knows: which way imports point, how long a file may be, that a migration has its twin.
//!
//! A new room of `src/` gets its place in `FLOORS`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, from the ground up. A room imports from floors below its own.
const FLOORS: [&[&str]; 8] = [
    &["base"],
    &["db", "outbound", "telemetry"],
    &["audit"],
    &["access", "dispatch", "idempotency", "secrets"],
    &["notifications", "backup", "bench"],
    &["work_orders", "approvals", "deployments", "desk"],
    &["incidents"],
    // The doors see each other: a subject's own doors (`http.rs`, `jobs/`) count as doors too.
    &["config", "http", "app", "cli", "console", "lib", "main"],
];

/// The rooms of a subject, from the ground up. What is not listed (a rack, a private room) is not judged.
const ROOMS: [&[&str]; 4] =
    [&["model"], &["store", "adapters", "channels", "providers"], &["service"], &["http", "jobs"]];

const LONGEST_FILE_LINES: usize = 500;

#[test]
fn imports_point_down() {
    let faults: Vec<String> = sources("src")
        .iter()
        .flat_map(|(path, text)| upward(path.strip_prefix("src").expect("under src"), text))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_room_has_its_floor() {
    let unknown: BTreeSet<String> = sources("src")
        .iter()
        .map(|(path, _)| room(path.strip_prefix("src").expect("under src")))
        .filter(|room| floor(room).is_none())
        .collect();
    assert!(unknown.is_empty(), "give these rooms of src/ a place in FLOORS: {unknown:?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = ["src", "jobs", "tests"]
        .iter()
        .flat_map(|directory| sources(directory))
        .filter_map(|(path, text)| too_long(&text).map(|lines| format!("{}: {lines} lines", path.display())))
        .collect();
    assert!(long.is_empty(), "divide these files by what they do:\n{}", long.join("\n"));
}

#[test]
fn only_the_worker_says_apalis() {
    let elsewhere: Vec<String> = ["src", "jobs/src"]
        .iter()
        .flat_map(|directory| sources(directory))
        .filter(|(path, text)| !path.starts_with("jobs/src/worker") && names_apalis(text))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(elsewhere.is_empty(), "apalis stays inside jobs/src/worker/: {elsewhere:?}");
}

#[test]
fn every_migration_has_its_twin() {
    let names = |database: &str| -> BTreeSet<String> {
        let directory = root().join("migrations").join(database);
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let lonely = without_twin(&names("sqlite"), &names("postgres"));
    assert!(lonely.is_empty(), "in one of migrations/sqlite and migrations/postgres only: {lonely:?}");
}

#[test]
fn what_takes_something_away_says_who_can_do_without() {
    for database in ["sqlite", "postgres"] {
        for entry in std::fs::read_dir(root().join("migrations").join(database)).expect("a directory").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(entry.path()).expect("a readable file");
            if let Some(what) = takes_away(&text) {
                assert!(is_contract(&name), "{database}/{name} has {what}: name it as docs/upgrades.md says");
            }
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads every Rust file under a directory; paths are relative to the root.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).expect("a readable directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable file");
                found.push((path.strip_prefix(root()).expect("under the root").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// Returns the room of a file, `path` relative to `src/`: its first directory, or its own name at the top.
fn room(path: &Path) -> String {
    let first = path.components().next().expect("a file has a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

/// Returns the room within the subject, for `incidents/store.rs` as for `incidents/store/rows.rs`.
fn inner_room(path: &Path) -> Option<String> {
    let second = path.components().nth(1)?.as_os_str().to_string_lossy();
    Some(second.trim_end_matches(".rs").to_owned())
}

/// Returns what a file imports against the direction of the house, a sentence each.
fn upward(path: &Path, text: &str) -> Vec<String> {
    let own = room(path);
    let doors = FLOORS.len() - 1;
    let inner = inner_room(path);
    let is_door = inner.as_deref().and_then(rank) == Some(ROOMS.len() - 1);
    let own_floor = if is_door { Some(doors) } else { floor(&own) };
    let mut faults = Vec::new();
    for import in imports(text).into_iter().chain(relative_imports(path, text)) {
        let mut steps = import.split("::");
        let (other, room) = (steps.next().unwrap_or_default(), steps.next());
        if other == own {
            let (Some(from), Some(to)) = (inner.as_deref().and_then(rank), room.and_then(rank)) else { continue };
            if from < to {
                faults.push(format!("{}: crate::{import} is above it within the subject", path.display()));
            }
            continue;
        }
        let (Some(from), Some(to)) = (own_floor, floor(other)) else { continue };
        let allowed = from > to || (from == doors && to == doors);
        if !allowed {
            faults.push(format!("{}: crate::{import} is not below it", path.display()));
        }
    }
    faults
}

/// Returns the paths that follow `crate::`, in `use` lines as in expressions; comments and `$crate` do not count.
fn imports(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_members(group)),
            None => found.push(path_at(rest)),
        }
    }
    found
}

/// Returns what `use super::…` at the margin means from the crate's root; indented ones are those of inner modules.
fn relative_imports(path: &Path, text: &str) -> Vec<String> {
    let mut module: Vec<String> =
        path.components().map(|step| step.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    let lines =
        text.lines().filter_map(|line| line.split_once("use super::").filter(|(before, _)| !before.starts_with(' ')));
    let resolve = |mut rest: &str| {
        let mut up = 1;
        while let Some(further) = rest.strip_prefix("super::") {
            rest = further;
            up += 1;
        }
        let mut steps = module[..module.len().saturating_sub(up)].to_vec();
        steps.push(path_at(rest));
        steps.join("::")
    };
    lines.map(|(_, rest)| resolve(rest)).collect()
}

/// Reads the path at the start of a text: `a::b::C`.
fn path_at(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

/// Reads the members of `{a::X, b::{Y, Z}}` whose opening brace is gone; nested groups are cut at their brace.
fn group_members(text: &str) -> Vec<String> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(path_at(text[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(path_at(text[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn too_long(text: &str) -> Option<usize> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE_LINES).then_some(lines)
}

/// Returns what an older program would miss after a migration, if anything.
fn takes_away(sql: &str) -> Option<&'static str> {
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
    ["DROP TABLE", "DROP COLUMN", "RENAME", "SET NOT NULL", "ALTER COLUMN"].into_iter().find(|what| code.contains(what))
}

/// Says whether a file is named `NNNN_contract_MMMM_what.sql` with MMMM before NNNN.
fn is_contract(name: &str) -> bool {
    let mut parts = name.split('_');
    let (number, word, needs) = (parts.next(), parts.next(), parts.next());
    let read = |part: Option<&str>| part.and_then(|part| part.parse::<i64>().ok());
    word == Some("contract") && read(needs).is_some_and(|needs| read(number).is_some_and(|number| needs < number))
}

fn names_apalis(text: &str) -> bool {
    text.lines().any(|line| line.split("//").next().unwrap_or_default().contains("apalis"))
}

fn without_twin(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    one.symmetric_difference(other).cloned().collect()
}

mod the_rules_themselves {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        upward(Path::new(path), text).len()
    }

    #[test]
    fn imports_are_found_in_every_form() {
        let text = "use crate::base::Error;\nuse crate::{\n    db::Tx,\n    access::{Token, Caller},\n};\n// crate::cli\n\
                    fn f() { crate::http::serve(); my_crate::x(); $crate::y!(); }";
        assert_eq!(imports(text), ["base::Error", "db::Tx", "access", "http::serve"]);
    }

    #[test]
    fn an_upward_import_is_a_fault() {
        for (path, text, expected) in [
            ("dispatch/relay.rs", "use crate::db::Tx;", 0),
            ("dispatch/relay.rs", "use crate::work_orders::System;", 1),
            ("dispatch/relay.rs", "use crate::access::Token;", 1),
            ("dispatch/relay.rs", "use crate::{base::Clock, cli::Run};", 1),
            ("base/clock.rs", "use crate::db::Tx;", 1),
            ("work_orders/service.rs", "use crate::http::Problem;", 1),
            ("work_orders/http.rs", "use crate::http::Problem;", 0),
            ("work_orders/jobs/sync.rs", "use crate::app::App;", 0),
            ("cli/serve.rs", "use crate::app::App;", 0),
            ("incidents/service.rs", "use crate::work_orders::Ticket;", 0),
            ("work_orders/service.rs", "use crate::desk::Flow;", 1),
        ] {
            assert_eq!(faults(path, text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_subject_is_built_from_the_ground_up() {
        for (path, text, expected) in [
            ("work_orders/store/rows.rs", "use crate::work_orders::model::System;", 0),
            ("work_orders/model.rs", "use crate::work_orders::store::insert;", 1),
            ("work_orders/service/sync.rs", "use crate::work_orders::http::router;", 1),
            ("work_orders/http.rs", "use crate::work_orders::service::sync;", 0),
            ("work_orders/store.rs", "use super::service::sync;", 1),
            ("work_orders/store/rows.rs", "use super::super::service::sync;", 1),
            ("work_orders/store/rows.rs", "pub(crate) use super::page;", 0),
            ("work_orders/service/sync.rs", "use super::super::store;", 0),
            ("work_orders/store.rs", "mod tests {\n    use super::service;\n}", 0),
            ("work_orders/mod.rs", "pub use crate::work_orders::service::sync;", 0),
        ] {
            assert_eq!(faults(path, text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_long_file_a_lonely_migration_and_a_stray_apalis_are_faults() {
        assert_eq!(too_long(&"x\n".repeat(500)), None);
        assert_eq!(too_long(&"x\n".repeat(501)), Some(501));
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(without_twin(&set(&["0001_a.sql", "0002_b.sql"]), &set(&["0001_a.sql"])), ["0002_b.sql"]);
        assert!(names_apalis("use apalis_core::worker;") && !names_apalis("// as in apalis"));
    }

    #[test]
    fn a_migration_that_contracts_is_known_by_its_name() {
        assert_eq!(takes_away("CREATE TABLE a (b TEXT);\nDROP INDEX c; -- DROP TABLE d"), None);
        assert_eq!(takes_away("ALTER TABLE a\n    DROP  COLUMN b;"), Some("DROP COLUMN"));
        assert!(is_contract("0020_contract_0016_drop_b.sql") && !is_contract("0020_drop_b.sql"));
        assert!(!is_contract("0020_contract_0020_drop_b.sql") && !is_contract("0020_contract_drop_b.sql"));
    }

    #[test]
    fn a_room_is_its_first_directory_or_its_file() {
        assert_eq!(room(Path::new("dispatch/relay.rs")), "dispatch");
        assert_eq!(room(Path::new("main.rs")), "main");
        assert_eq!(floor("attic"), None);
    }
}
