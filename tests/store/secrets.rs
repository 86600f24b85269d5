//! Keys: every process of a database has the same, and all secrets move from one to another.

use std::collections::BTreeSet;

use deskhand::base::secrets::key_of;
use deskhand::base::{Actor, Key, Secret, TenantId, Vault};
use deskhand::db::Db;
use deskhand::on;
use deskhand::secrets::{Column, SEALED, check_keys, rotate, settle_keys, status};
use deskhand::work_orders::WorkOrders;
use deskhand::work_orders::model::{Draft, SecretChange};
use sqlx::AssertSqlSafe;

use crate::fixtures::TestDb;
use crate::fixtures::databases::on_both;
use crate::fixtures::outbound::http;

/// Columns whose names look as if they held secrets, and why they are not in the list.
const NOT_SEALED_COLUMNS: &[(&str, &str)] = &[
    // The known text of a key: it is written anew with the key, never moved.
    ("vault_checks", "sealed"),
];

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn vault(current: u8, older: &[u8]) -> Vault {
    Vault::new(&key(current), &older.iter().map(|byte| key(*byte)).collect::<Vec<_>>())
}

fn looks_sealed(column: &str) -> bool {
    const SIGNS: [&str; 9] =
        ["password", "secret", "sealed", "api_key", "private_key", "credential", "token", "passphrase", "signing_key"];
    let says_what_else_it_is = ["_hash", "_id", "_at", "_count"].iter().any(|end| column.ends_with(end));
    !says_what_else_it_is && SIGNS.iter().any(|sign| column.contains(sign))
}

#[tokio::test]
async fn every_column_that_looks_sealed_is_in_the_list_and_every_listed_one_exists() {
    let fresh = TestDb::sqlite().await;
    let mut tx = fresh.db.read().await.expect("begins");
    let sql = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' \
               AND c.type = 'TEXT'";
    let columns: BTreeSet<(String, String)> =
        on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads").into_iter().collect();
    let sql =
        "SELECT t.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name = 'version'";
    let counted: BTreeSet<String> =
        on!(tx, |c| sqlx::query_scalar(sql).fetch_all(c).await).expect("reads").into_iter().collect();
    let has = |table: &str, column: &str| columns.contains(&(table.to_owned(), column.to_owned()));
    let listed = |table: &str, column: &str| {
        SEALED.iter().any(|sealed| (sealed.table, sealed.column) == (table, column))
            || NOT_SEALED_COLUMNS.contains(&(table, column))
    };
    let forgotten: Vec<_> =
        columns.iter().filter(|(table, column)| looks_sealed(column) && !listed(table, column)).collect();
    assert!(forgotten.is_empty(), "give these a line in src/secrets/columns.rs, or their reason here: {forgotten:?}");
    for sealed in SEALED {
        assert!(has(sealed.table, sealed.column) && has(sealed.table, sealed.id), "{sealed:?}");
        let versioned = counted.contains(sealed.table);
        assert_eq!(
            sealed.version.is_some(),
            versioned,
            "who proves a version must see that a secret moved: {sealed:?}"
        );
    }
    assert!(looks_sealed("client_secret") && !looks_sealed("token_hash") && !looks_sealed("name"));
}

fn draft(name: &str) -> Draft {
    Draft {
        name: Some(name.into()),
        system_type: Some("jira".into()),
        api_url: Some("https://jira.example.com".into()),
        username: Some("sync".into()),
        password: SecretChange::Set(Secret::new(format!("password of {name}"))),
        ..Draft::default()
    }
}

async fn make_systems(db: &Db, vault: &Vault, count: usize) {
    let service = WorkOrders::new(db.clone(), vault.clone(), http());
    for number in 0..count {
        service.create_system(&actor(), &draft(&format!("system {number}"))).await.expect("made");
    }
}

async fn passwords(db: &Db) -> Vec<(String, String, String, i64)> {
    let sql = "SELECT id, name, password, version FROM work_order_systems ORDER BY id";
    let mut tx = db.read().await.expect("begins");
    on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads")
}

async fn execute(db: &Db, sql: String) {
    let mut tx = db.begin().await.expect("begins");
    let statement = AssertSqlSafe(sql);
    on!(tx, |c| sqlx::query(statement).execute(c).await.map(|_| ())).expect("executes");
    tx.commit().await.expect("commits");
}

async fn checks(db: &Db) -> Vec<String> {
    let mut tx = db.read().await.expect("begins");
    let sql = "SELECT key_id FROM vault_checks ORDER BY key_id";
    on!(tx, |c| sqlx::query_scalar(sql).fetch_all(c).await).expect("reads")
}

fn actor() -> Actor {
    Actor::terminal(TenantId::default())
}

#[tokio::test]
async fn all_secrets_move_to_the_present_key_in_batches() {
    on_both(async |fresh| {
        let (old, between, new) = (vault(1, &[]), vault(2, &[1]), vault(2, &[]));
        settle_keys(&fresh.db, &old).await.expect("the first");
        make_systems(&fresh.db, &old, 7).await;
        // Two as the first version wrote them.
        execute(
            &fresh.db,
            "UPDATE work_order_systems SET password = 'v1:' || substr(password, 17) WHERE name IN ('system 1', 'system 2')"
                .to_owned(),
        )
        .await;
        settle_keys(&fresh.db, &between).await.expect("it opens what is there");
        assert_eq!(checks(&fresh.db).await.len(), 2);

        let done = rotate(&fresh.db, &between, &actor(), 3).await.expect("rotates");
        assert_eq!((done.resealed, done.overtaken, done.left, done.retired), (7, 0, 0, 1), "{done:?}");
        assert_eq!(checks(&fresh.db).await, [new.key_id().as_str()], "nobody needs the old key any more");
        let column = Column { column: "password", ..SEALED[0] };
        for (id, name, sealed, version) in passwords(&fresh.db).await {
            let opened = new.open(&sealed, &column.place(&id)).expect("under the new key");
            assert_eq!((opened.expose(), version), (format!("password of {name}").as_str(), 2));
        }
        let again = rotate(&fresh.db, &between, &actor(), 3).await.expect("rotates");
        assert_eq!((again.resealed, again.left, again.retired), (0, 0, 0));
        check_keys(&fresh.db, &new).await.expect("the old key may go");

        let sql = "SELECT count(*) FROM audit_log WHERE action = 'secrets.rotate' AND actor_kind = 'terminal'";
        let mut tx = fresh.db.read().await.expect("begins");
        let noted: i64 = on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("reads");
        assert_eq!(noted, 2);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_opened_stays_is_named_and_keeps_its_key_in_demand() {
    on_both(async |fresh| {
        settle_keys(&fresh.db, &vault(1, &[])).await.expect("the first");
        make_systems(&fresh.db, &vault(1, &[]), 3).await;
        let stray = vault(9, &[]).seal(&Secret::new("x"), "elsewhere");
        execute(&fresh.db, format!("UPDATE work_order_systems SET password = '{stray}' WHERE name = 'system 1'")).await;
        let between = vault(2, &[1]);
        settle_keys(&fresh.db, &between).await.expect("it opens what is checked");
        let done = rotate(&fresh.db, &between, &actor(), 1).await.expect("rotates");
        assert_eq!((done.resealed, done.left, done.retired), (2, 1, 0), "{done:?}");
        let [unreadable] = &done.unreadable[..] else { panic!("one: {done:?}") };
        assert!(
            unreadable.place.ends_with(":password") && unreadable.why.contains(key(9).id().as_str()),
            "{unreadable:?}"
        );
        assert!(passwords(&fresh.db).await.iter().any(|(_, _, sealed, _)| *sealed == stray), "it stays as it is");
        assert_eq!(checks(&fresh.db).await.len(), 2);

        let mut counts: Vec<_> = status(&fresh.db, &between).await.expect("counts");
        counts.sort_by_key(|count| count.texts);
        let found: Vec<_> =
            counts.iter().map(|count| (count.key.clone(), count.texts, count.current, count.here)).collect();
        let expected =
            [(Some(key(9).id()), 1, false, Some(false)), (Some(between.key_id().clone()), 2, true, Some(true))];
        assert_eq!(found, expected);
        assert_eq!(key_of(&stray), Some(key(9).id()));
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_was_read_before_a_change_of_keys_is_not_written_back_after_it() {
    on_both(async |fresh| {
        let old = vault(1, &[]);
        make_systems(&fresh.db, &old, 1).await;
        let (id, ..) = passwords(&fresh.db).await.remove(0);
        rotate(&fresh.db, &vault(2, &[1]), &actor(), 10).await.expect("rotates");
        // A process that began before has the old row and its version in hand.
        let service = WorkOrders::new(fresh.db.clone(), vault(1, &[2]), http());
        let renamed = Draft { name: Some("renamed".into()), version: Some(1), ..Draft::default() };
        let id = id.parse().expect("an id");
        let error = service.update_system(&actor(), id, &renamed).await.expect_err("it has moved on");
        assert_eq!(error.code(), "version_moved");
        let renamed = Draft { version: Some(2), ..renamed };
        service.update_system(&actor(), id, &renamed).await.expect("read again, it goes");
        let (_, _, sealed, _) = passwords(&fresh.db).await.remove(0);
        assert_eq!(key_of(&sealed), Some(key(2).id()), "the secret is still under the new key");
    })
    .await;
}

#[tokio::test]
async fn a_process_without_the_keys_of_its_database_is_refused() {
    on_both(async |fresh| {
        let refused = async |vault: &Vault, needed: u8| {
            for error in [settle_keys(&fresh.db, vault).await.err(), check_keys(&fresh.db, vault).await.err()] {
                let text = error.expect("refused").to_string();
                for part in [key(needed).id().as_str(), &vault.names(), "secrets.previous_keys"] {
                    assert!(text.contains(part), "{part}: {text}");
                }
            }
        };
        check_keys(&fresh.db, &vault(1, &[])).await.expect("an empty database takes any key");
        assert!(checks(&fresh.db).await.is_empty(), "a check changes nothing");
        settle_keys(&fresh.db, &vault(1, &[])).await.expect("the first");
        settle_keys(&fresh.db, &vault(1, &[2])).await.expect("the same, and it learns to open another");
        assert_eq!(checks(&fresh.db).await, [key(1).id().as_str()], "what only opens is not asked for");
        refused(&vault(2, &[]), 1).await;
        refused(&vault(3, &[2]), 1).await;
        settle_keys(&fresh.db, &vault(2, &[1])).await.expect("the change of keys goes on");
        refused(&vault(1, &[]), 2).await;
        settle_keys(&fresh.db, &vault(1, &[2])).await.expect("one that is not there yet");
        refused(&vault(2, &[]), 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_database_with_secrets_from_before_the_checks_knows_its_key() {
    on_both(async |fresh| {
        make_systems(&fresh.db, &vault(1, &[]), 1).await;
        let error = settle_keys(&fresh.db, &vault(2, &[])).await.expect_err("another key").to_string();
        assert!(error.contains("work_order_systems:") && error.contains(key(2).id().as_str()), "{error}");
        assert!(checks(&fresh.db).await.is_empty(), "who is wrong does not become who is right");
        settle_keys(&fresh.db, &vault(1, &[])).await.expect("the key of its secrets");
    })
    .await;
}

#[tokio::test]
async fn of_several_first_processes_with_different_keys_one_is_right() {
    on_both(async |fresh| {
        let mut starts = tokio::task::JoinSet::new();
        for byte in 1..=4 {
            let db = fresh.again().await;
            starts.spawn(async move { (byte, settle_keys(&db, &vault(byte, &[])).await.is_ok()) });
        }
        let ended = starts.join_all().await;
        let right: Vec<u8> = ended.into_iter().filter(|(_, started)| *started).map(|(byte, _)| byte).collect();
        let [right] = right[..] else { panic!("exactly one starts: {right:?}") };
        assert_eq!(checks(&fresh.db).await, [key(right).id().as_str()]);
    })
    .await;
}
