//! Both databases have the same shape.

use std::collections::BTreeMap;

use deskhand::db::{Db, Tx};
use deskhand::on;

use crate::fixtures::TestDb;
use crate::fixtures::databases::on_postgres;

/// Table → column → (type family, nullable).
type Columns = BTreeMap<(String, String), (String, bool)>;
/// Index → (table, unique, columns in order).
type Indexes = BTreeMap<String, (String, bool, Vec<String>)>;

#[tokio::test]
async fn migrated_databases_are_twins() {
    let sqlite = TestDb::sqlite().await;
    let mut tx = sqlite.db.read().await.expect("begins");
    let shape = (sqlite_columns(&mut tx).await, sqlite_indexes(&mut tx).await);
    on_postgres(async |fresh| {
        fresh.db.migrate().await.expect("migrates");
        let mut tx = fresh.db.read().await.expect("begins");
        assert_eq!(shape.0, postgres_columns(&mut tx).await, "columns: left sqlite, right postgres");
        assert_eq!(shape.1, postgres_indexes(&mut tx).await, "indexes: left sqlite, right postgres");
        assert_eq!(collations(&mut tx).await, Vec::<String>::new(), "these id columns lack COLLATE \"C\"");
    })
    .await;
}

#[tokio::test]
async fn several_processes_may_migrate_at_once() {
    let fresh = TestDb::empty_sqlite().await;
    migrate_three_times(&fresh).await;
    on_postgres(async |fresh| migrate_three_times(&fresh).await).await;
}

async fn migrate_three_times(fresh: &TestDb) {
    assert!(!fresh.db.is_migrated().await.expect("answers"));
    let (one, two) = (fresh.again().await, fresh.again().await);
    let migrate = |db: Db| async move { db.migrate().await.expect("migrates") };
    tokio::join!(migrate(one), migrate(two), migrate(fresh.db.clone()));
    assert!(fresh.db.is_migrated().await.expect("answers"));
}

/// Folds the types of both databases to what the code sees.
fn family(declared: &str) -> String {
    match declared.to_lowercase().as_str() {
        "integer" | "bigint" => "i64",
        "boolean" => "bool",
        "double precision" | "real" => "f64",
        // Time is text in SQLite; the sorted form of RFC 3339.
        "text" | "timestamp with time zone" => "text or time",
        other => other,
    }
    .to_owned()
}

async fn sqlite_columns(tx: &mut Tx) -> Columns {
    let sql = "SELECT t.name, c.name, c.type, c.\"notnull\" = 0 FROM sqlite_master t, pragma_table_info(t.name) c \
               WHERE t.type = 'table' AND t.name NOT LIKE '\\_%' ESCAPE '\\' AND t.name NOT LIKE 'sqlite%'";
    columns(tx, sql).await
}

async fn postgres_columns(tx: &mut Tx) -> Columns {
    let sql = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'YES' \
               FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%'";
    columns(tx, sql).await
}

async fn columns(tx: &mut Tx, sql: &'static str) -> Columns {
    let rows: Vec<(String, String, String, bool)> =
        on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads columns");
    rows.into_iter()
        .map(|(table, column, declared, nullable)| ((table, column), (family(&declared), nullable)))
        .collect()
}

async fn sqlite_indexes(tx: &mut Tx) -> Indexes {
    // Indexes that a constraint made have no name of ours.
    let sql = "SELECT l.name, t.name, l.\"unique\" = 1, i.name FROM sqlite_master t, pragma_index_list(t.name) l, \
               pragma_index_info(l.name) i WHERE t.type = 'table' AND l.origin = 'c' ORDER BY l.name, i.seqno";
    indexes(tx, sql).await
}

async fn postgres_indexes(tx: &mut Tx) -> Indexes {
    let sql = "SELECT i.relname::text, t.relname::text, x.indisunique, a.attname::text \
               FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
               JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = 'public' \
               CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY k(attnum, place) \
               JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum \
               WHERE NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = x.indexrelid AND o.contype IN ('p', 'u')) \
               ORDER BY i.relname, k.place";
    indexes(tx, sql).await
}

async fn indexes(tx: &mut Tx, sql: &'static str) -> Indexes {
    let rows: Vec<(String, String, bool, String)> =
        on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads indexes");
    let mut indexes = Indexes::new();
    for (index, table, unique, column) in rows {
        indexes.entry(index).or_insert_with(|| (table, unique, Vec::new())).2.push(column);
    }
    indexes
}

/// Ids sort and compare by bytes, as they do in SQLite.
async fn collations(tx: &mut Tx) -> Vec<String> {
    let sql = "SELECT table_name || '.' || column_name FROM information_schema.columns \
               WHERE table_schema = 'public' AND data_type = 'text' AND table_name NOT LIKE '\\_%' \
               AND (column_name = 'id' OR column_name LIKE '%\\_id') AND collation_name IS DISTINCT FROM 'C' ORDER BY 1";
    on!(tx, |c| sqlx::query_scalar(sql).fetch_all(c).await).expect("reads collations")
}
