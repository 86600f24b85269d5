//! Writing many tickets at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::Stored;
use crate::base::Result;
use crate::db::{Conn, Tx, parts, placeholders};
use crate::work_orders::model::{Content, System, WorkOrderId};
use crate::work_orders::store::json;

/// A ticket and the hash by which it is recognised.
type Row = (Content, String);

const INSERT: &str = "INSERT INTO work_orders (id, tenant_id, system_id, external_id, external_key, title, description, status, \
                      priority, external_status, external_priority, reporter, reporter_email, assignee, assignee_email, \
                      reported_at, due_date, resolved_at, category, tags, url, external_updated_at, content_hash, last_sync_at, \
                      created_at, updated_at, sync_status, version)";

/// How many values a row has of its own.
const VALUES: usize = 26;

/// Over a row that nobody has changed here, and that is another one.
const OVERWRITE: &str = "ON CONFLICT (tenant_id, system_id, external_id) DO UPDATE SET external_key = excluded.external_key, \
                         title = excluded.title, description = excluded.description, status = excluded.status, \
                         priority = excluded.priority, external_status = excluded.external_status, \
                         external_priority = excluded.external_priority, reporter = excluded.reporter, \
                         reporter_email = excluded.reporter_email, assignee = excluded.assignee, \
                         assignee_email = excluded.assignee_email, due_date = excluded.due_date, \
                         resolved_at = excluded.resolved_at, category = excluded.category, tags = excluded.tags, \
                         url = excluded.url, external_updated_at = excluded.external_updated_at, \
                         content_hash = excluded.content_hash, last_sync_at = excluded.last_sync_at, \
                         sync_status = 'success', sync_error = NULL, version = work_orders.version + 1, \
                         updated_at = excluded.updated_at";

const UNLESS: &str = "WHERE work_orders.content_hash <> excluded.content_hash AND work_orders.exchange IS NULL \
                      AND work_orders.deleted_at IS NULL RETURNING external_id, version";

/// Stores what a system told us of tickets, each of them once: new rows, or over those there are. A ticket that is not among the
/// answers is the same already, or has to be looked at first, because something was changed here or it was gone.
pub(crate) async fn insert(tx: &mut Tx, system: &System, rows: &[Row]) -> Result<HashMap<String, Stored>> {
    let mut stored = HashMap::with_capacity(rows.len());
    // A row always has a date of report; one that its system does not tell is not written over.
    let (dated, undated): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|(content, _)| content.reported_at.is_some());
    for (rows, overwrite) in [(dated, ", reported_at = excluded.reported_at"), (undated, "")] {
        for part in parts(&rows) {
            let written = write(tx, system, part, overwrite).await?;
            stored.extend(written.into_iter().map(|(id, version)| {
                // No row comes back where the WHERE kept the old one.
                (id, if version == 1 { Stored::Created } else { Stored::Updated })
            }));
        }
    }
    Ok(stored)
}

async fn write(tx: &mut Tx, system: &System, rows: &[&Row], overwrite: &str) -> Result<Vec<(String, i64)>> {
    let now = tx.now();
    let tags: Vec<String> =
        rows.iter().map(|(content, _)| json::write("tags", &content.tags)).collect::<Result<_>>()?;
    let reported = |content: &Content| content.reported_at.unwrap_or(now);
    match tx.conn() {
        Conn::Sqlite(c) => {
            let values = placeholders(rows.len(), VALUES, ", 'success', 1");
            let sql = format!("{INSERT} VALUES {values} {OVERWRITE}{overwrite} {UNLESS}");
            let mut insert = sqlx::query_as(AssertSqlSafe(sql));
            for ((content, hash), tags) in rows.iter().zip(&tags) {
                insert = insert
                    .bind(WorkOrderId::new())
                    .bind(&system.tenant)
                    .bind(system.id)
                    .bind(&content.external_id)
                    .bind(&content.external_key)
                    .bind(&content.title)
                    .bind(&content.description)
                    .bind(content.status)
                    .bind(content.priority)
                    .bind(&content.external_status)
                    .bind(&content.external_priority)
                    .bind(&content.reporter)
                    .bind(&content.reporter_email)
                    .bind(&content.assignee)
                    .bind(&content.assignee_email)
                    .bind(reported(content))
                    .bind(content.due_date)
                    .bind(content.resolved_at)
                    .bind(&content.category)
                    .bind(tags)
                    .bind(&content.url)
                    .bind(content.external_updated_at)
                    .bind(hash)
                    .bind(now)
                    .bind(now)
                    .bind(now);
            }
            Ok(insert.fetch_all(&mut *c).await?)
        }
        // A column of values each: one text for any number of rows, so it is planned once.
        Conn::Postgres(c) => {
            let sql = format!(
                "{INSERT} SELECT id, $1, $2, external_id, external_key, title, description, status, priority, external_status, \
                 external_priority, reporter, reporter_email, assignee, assignee_email, reported_at, due_date, resolved_at, \
                 category, tags, url, external_updated_at, content_hash, $3, $3, $3, 'success', 1 \
                 FROM UNNEST($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], \
                 $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[], \
                 $19::timestamptz[], $20::text[], $21::text[], $22::text[], $23::timestamptz[], $24::text[]) \
                 AS new (id, external_id, external_key, title, description, status, priority, external_status, \
                 external_priority, reporter, reporter_email, assignee, assignee_email, reported_at, due_date, resolved_at, \
                 category, tags, url, external_updated_at, content_hash) {OVERWRITE}{overwrite} {UNLESS}"
            );
            let text = |of: fn(&Content) -> &str| rows.iter().map(|(content, _)| of(content)).collect::<Vec<_>>();
            let optional = |of: fn(&Content) -> &Option<String>| {
                rows.iter().map(|(content, _)| of(content).as_deref()).collect::<Vec<_>>()
            };
            let instant = |of: &dyn Fn(&Content) -> Option<DateTime<Utc>>| {
                rows.iter().map(|(content, _)| of(content)).collect::<Vec<_>>()
            };
            let ids: Vec<String> = rows.iter().map(|_| WorkOrderId::new().to_string()).collect();
            let hashes: Vec<&str> = rows.iter().map(|(_, hash)| hash.as_str()).collect();
            let insert = sqlx::query_as(AssertSqlSafe(sql))
                .bind(&system.tenant)
                .bind(system.id)
                .bind(now)
                .bind(ids)
                .bind(text(|content| &content.external_id))
                .bind(text(|content| &content.external_key))
                .bind(text(|content| &content.title))
                .bind(text(|content| &content.description))
                .bind(text(|content| content.status.as_str()))
                .bind(text(|content| content.priority.as_str()))
                .bind(text(|content| &content.external_status))
                .bind(text(|content| &content.external_priority))
                .bind(optional(|content| &content.reporter))
                .bind(optional(|content| &content.reporter_email))
                .bind(optional(|content| &content.assignee))
                .bind(optional(|content| &content.assignee_email))
                .bind(instant(&|content| Some(reported(content))))
                .bind(instant(&|content| content.due_date))
                .bind(instant(&|content| content.resolved_at))
                .bind(optional(|content| &content.category))
                .bind(&tags)
                .bind(optional(|content| &content.url))
                .bind(instant(&|content| content.external_updated_at))
                .bind(hashes);
            Ok(insert.fetch_all(&mut *c).await?)
        }
    }
}
