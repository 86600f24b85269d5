//! The SQL of the audit record.

use chrono::{DateTime, Utc};
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use serde_json::value::RawValue;

use super::model::{Entry, Filter};
use crate::base::{ActorKind, ClaimId, Result, TenantId};
use crate::db::{Build, Tx, Value, insert_rows};
use crate::on;

/// The row as it is stored, which is what its hash covers.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) tenant_id: TenantId,
    pub(super) seq: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) actor_kind: ActorKind,
    pub(super) actor_id: Option<String>,
    pub(super) actor_name: String,
    pub(super) address: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) claim_id: Option<ClaimId>,
    pub(super) action: String,
    pub(super) object_kind: String,
    pub(super) object_id: String,
    pub(super) before_json: Option<String>,
    pub(super) after_json: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

/// The columns of a row, in the order of [`Row::values`].
const COLUMNS: [&str; 17] = [
    "tenant_id",
    "seq",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "claim_id",
    "action",
    "object_kind",
    "object_id",
    "before_json",
    "after_json",
    "reason",
    "previous_hash",
    "hash",
];

impl Row {
    fn values<'a>(&'a self, claim: Option<&'a str>) -> [Value<'a>; 17] {
        [
            self.tenant_id.as_str().into(),
            Value::Number(self.seq),
            Value::Instant(self.at),
            self.actor_kind.as_str().into(),
            self.actor_id.as_deref().into(),
            self.actor_name.as_str().into(),
            self.address.as_deref().into(),
            self.request_id.as_deref().into(),
            claim.into(),
            self.action.as_str().into(),
            self.object_kind.as_str().into(),
            self.object_id.as_str().into(),
            self.before_json.as_deref().into(),
            self.after_json.as_deref().into(),
            self.reason.as_deref().into(),
            self.previous_hash.as_str().into(),
            self.hash.as_str().into(),
        ]
    }
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        // What somebody made unreadable is shown as nothing; the chain tells of it.
        let json = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
        Self {
            tenant_id: row.tenant_id,
            seq: row.seq,
            at: row.at,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            address: row.address,
            request_id: row.request_id,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object_id,
            before: json(row.before_json),
            after: json(row.after_json),
            reason: row.reason,
            previous_hash: row.previous_hash,
            hash: row.hash,
            claim_id: row.claim_id,
        }
    }
}

/// Holds the chain of a tenant until the end of the transaction, and returns its last place and hash; `None` if it has none.
pub(super) async fn hold_head(tx: &mut Tx, tenant: &TenantId) -> Result<Option<(i64, String)>> {
    // Of two who begin a chain one waits for the other.
    let hold = "INSERT INTO audit_heads (tenant_id, seq, hash) VALUES ($1, 0, '') \
                ON CONFLICT (tenant_id) DO UPDATE SET seq = audit_heads.seq RETURNING seq, hash";
    let head: (i64, String) = on!(tx, |c| sqlx::query_as(hold).bind(tenant).fetch_one(c).await)?;
    Ok(Some(head).filter(|(seq, _)| *seq > 0))
}

pub(super) async fn head(tx: &mut Tx, tenant: &TenantId) -> Result<Option<(i64, String)>> {
    let sql = "SELECT seq, hash FROM audit_heads WHERE tenant_id = $1";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).fetch_optional(c).await)?)
}

/// Adds entries of one tenant and makes the last of them the head.
pub(super) async fn add(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    let Some(last) = rows.last() else { return Ok(()) };
    let texts: Vec<_> = rows.iter().map(|row| row.claim_id.map(|claim| claim.to_string())).collect();
    let values: Vec<_> = rows.iter().zip(&texts).map(|(row, claim)| row.values(claim.as_deref())).collect();
    insert_rows(tx, "audit_log", COLUMNS, &values, "").await?;
    let sql = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE tenant_id = $1";
    Ok(on!(tx, |c| sqlx::query(sql)
        .bind(&last.tenant_id)
        .bind(last.seq)
        .bind(&last.hash)
        .execute(c)
        .await
        .map(|_| ()))?)
}

/// Reads up to `limit` entries before a place, the latest first.
pub(super) async fn list(
    tx: &mut Tx,
    tenant: &TenantId,
    filter: &Filter,
    before_seq: Option<i64>,
    limit: u64,
) -> Result<Vec<Row>> {
    let col = |name: &'static str| Expr::col(Alias::new(name));
    let mut select = Query::select();
    select.expr(Expr::cust("*")).from(Alias::new("audit_log")).and_where(col("tenant_id").eq(tenant.to_string()));
    let texts = [
        ("action", &filter.action),
        ("object_kind", &filter.object_kind),
        ("object_id", &filter.object_id),
        ("actor_name", &filter.actor),
    ];
    for (name, wanted) in texts {
        select.and_where_option(wanted.as_ref().map(|wanted| col(name).eq(wanted.as_str())));
    }
    select.and_where_option(filter.after.map(|after| col("at").gte(after)));
    select.and_where_option(filter.before.map(|before| col("at").lt(before)));
    select.and_where_option(before_seq.map(|seq| col("seq").lt(seq)));
    select.order_by(Alias::new("seq"), Order::Desc).limit(limit);
    Ok(on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?)
}

/// Reads up to `limit` entries after a place, in the order of the chain.
pub(super) async fn walk(tx: &mut Tx, tenant: &TenantId, after_seq: i64, limit: i64) -> Result<Vec<Row>> {
    let sql = "SELECT * FROM audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(after_seq).bind(limit).fetch_all(c).await)?)
}

/// Finds the first entry that a claim caused.
pub(super) async fn of_claim(tx: &mut Tx, tenant: &TenantId, claim: ClaimId) -> Result<Option<Row>> {
    let sql = "SELECT * FROM audit_log WHERE tenant_id = $1 AND claim_id = $2 ORDER BY seq LIMIT 1";
    Ok(on!(tx, |c| sqlx::query_as(sql).bind(tenant).bind(claim).fetch_optional(c).await)?)
}
