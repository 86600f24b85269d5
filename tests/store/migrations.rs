//! Migrations: one process at a time, and programs older than their database.

use std::process::{Command, Stdio};
use std::time::Duration;

use deskhand::db::Db;
use deskhand::on;
use serde_json::json;
use sqlx::Connection;

use crate::fixtures::TestApp;
use crate::fixtures::databases::{TestDb, on_both, on_postgres};

const DEADLINE: Duration = Duration::from_secs(30);

/// Notes a migration that this program does not have, as a newer one leaves it.
async fn apply_unknown(db: &Db, version: i64, description: &str) {
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES ($1, $2, TRUE, $3, 0)";
    let mut tx = db.begin().await.expect("begins");
    on!(tx, |c| sqlx::query(sql).bind(version).bind(description).bind(&b"x"[..]).execute(c).await.map(|_| ()))
        .expect("writes");
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn processes_that_start_at_once_on_an_empty_database_all_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let sqlite = format!("sqlite://{}", directory.path().join("new/deskhand.db").display());
    all_migrate(&sqlite).await;
    on_postgres(async |fresh| all_migrate(&fresh.url).await).await;
}

async fn all_migrate(url: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = |_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deskhand"));
        command.arg("migrate").env("DESKHAND_DATA_DIR", directory.path()).env("DESKHAND_DATABASE__URL", url);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts")
    };
    let processes: Vec<_> = (0..5).map(start).collect();
    for process in processes {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let db = Db::open(url).await.expect("opens");
    let found = db.migrations().await.expect("answers");
    assert!(found.missing.is_empty() && found.applied == found.known, "{found:?}");
    db.close().await;
}

#[tokio::test]
async fn who_migrates_a_file_waits_for_who_does_already() {
    let fresh = TestDb::empty_sqlite().await;
    let mut other = sqlx::SqliteConnection::connect(&fresh.url).await.expect("opens");
    sqlx::raw_sql("BEGIN IMMEDIATE; CREATE TABLE half_way (x)").execute(&mut other).await.expect("has the lock");
    let migrating = tokio::time::timeout(Duration::from_millis(300), fresh.db.migrate()).await;
    assert!(migrating.is_err(), "it waits, and neither fails nor goes on: {migrating:?}");
    assert!(!fresh.db.is_migrated().await.expect("answers"));
    let second = tokio::spawn({
        let db = fresh.again().await;
        async move { db.migrate().await }
    });
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("lets go");
    tokio::time::timeout(DEADLINE, second).await.expect("in time").expect("runs").expect("migrates");
    assert!(fresh.db.is_migrated().await.expect("answers"));
}

#[tokio::test]
async fn a_program_older_than_its_database_works_if_nothing_was_taken_away() {
    on_both(async |fresh| {
        apply_unknown(&fresh.db, 9_001, "another column").await;
        apply_unknown(&fresh.db, 9_002, "contract 0001 drop what nobody uses").await;
        let test = TestApp::with(&[("DESKHAND_DATABASE__URL", &fresh.url)]).await;
        let made = test.post("/api/v1/jobs", json!({"kind": "work_orders.sync"})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let found = fresh.db.migrations().await.expect("answers");
        assert_eq!((found.applied, found.missing.len(), found.refusal), (9_002, 0, None));
        test.app.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_program_that_needs_what_was_taken_away_is_refused_with_the_cure() {
    on_both(async |fresh| {
        apply_unknown(&fresh.db, 9_001, "another column").await;
        apply_unknown(&fresh.db, 9_003, "contract 9001 drop the old column").await;
        let error = fresh.again().await.migrate().await.expect_err("refused").to_string();
        assert!(error.contains("drop the old column") && error.contains("knows migration 9001 or newer"), "{error}");
        let refusal = fresh.db.migrations().await.expect("answers").refusal.unwrap_or_default();
        assert!(refusal.contains("9003"), "{refusal}");
        // The refused one let the lock go: the next is refused as well, and not kept waiting.
        let again = tokio::time::timeout(DEADLINE, fresh.db.migrate()).await.expect("answers in time");
        again.expect_err("refused");
    })
    .await;
}
