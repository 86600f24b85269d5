//! Many rows in few statements.

use chrono::{DateTime, Utc};
use deskhand::db::{Value, insert_rows};
use deskhand::on;

use crate::fixtures::databases::on_both;

type Row = (String, i64, Option<String>, Option<String>, DateTime<Utc>, String);

const COLUMNS: [&str; 6] = ["same", "number", "sometimes", "never", "at", "name"];

fn row(number: i64) -> Row {
    let at = DateTime::from_timestamp_millis(1_767_225_600_000 + number / 100).expect("a time");
    let sometimes = (number % 3 == 0).then(|| format!("{number} ☕"));
    ("same".to_owned(), number, sometimes, None, at, format!("row {number}"))
}

#[tokio::test]
async fn every_value_lands_in_its_column_whatever_rows_have_in_common() {
    on_both(async |fresh| {
        for count in [1, 2, 7, 300] {
            let mut tx = fresh.db.begin().await.expect("begins");
            let sql = match tx.backend() {
                deskhand::db::Backend::Sqlite => "CREATE TABLE sample_rows (name TEXT PRIMARY KEY, same TEXT, never TEXT, at TEXT, sometimes TEXT, number INTEGER)",
                deskhand::db::Backend::Postgres => "CREATE TABLE sample_rows (name TEXT PRIMARY KEY, same TEXT, never TEXT, at TIMESTAMPTZ, sometimes TEXT, number BIGINT)",
            };
            on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("makes a table");
            let rows: Vec<Row> = (0..count).map(row).collect();
            let values: Vec<[Value<'_>; 6]> = rows
                .iter()
                .map(|(same, number, sometimes, never, at, name)| {
                    [
                        same.as_str().into(),
                        Value::Number(*number),
                        sometimes.as_deref().into(),
                        never.as_deref().into(),
                        Value::Instant(*at),
                        name.as_str().into(),
                    ]
                })
                .collect();
            let written = insert_rows(&mut tx, "sample_rows", COLUMNS, &values, "").await.expect("writes");
            assert_eq!(written, count as u64);
            let again = insert_rows(&mut tx, "sample_rows", COLUMNS, &values, "ON CONFLICT DO NOTHING").await.expect("writes");
            assert_eq!(again, 0, "all are there");
            let sql = "SELECT same, number, sometimes, never, at, name FROM sample_rows ORDER BY number";
            let found: Vec<Row> = on!(tx, |c| sqlx::query_as(sql).fetch_all(c).await).expect("reads");
            assert_eq!(found, rows, "{count} rows");
            tx.rollback().await.expect("leaves nothing");
        }
    })
    .await;
}
