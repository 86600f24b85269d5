//! `/api/v1/audit`: who changed what; the proof that nothing was taken out; the export.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use deskhand_jobs::outcome::chain;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::app::App;
use crate::audit::{Entry, Filter, Verdict, service};
use crate::base::{Result, TenantId};
use crate::db::Db;
use crate::http::{Answer, Data, Page, Paging, Problem, Query, Unfiltered, Walked, data, instant};

/// How many entries of an export are read at once.
const STRIDE: i64 = 500;

pub(in crate::http) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify)).routes(routes!(export))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// What was done, as in `queue.pause`.
    action: Option<String>,
    /// What kind of thing it was done to.
    object_kind: Option<String>,
    /// Which one.
    object_id: Option<String>,
    /// Who did it, by name.
    actor: Option<String>,
    /// At this instant or later.
    #[serde(default, deserialize_with = "instant")]
    after: Option<DateTime<Utc>>,
    /// Before this instant.
    #[serde(default, deserialize_with = "instant")]
    before: Option<DateTime<Utc>>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Lists the audit record, the latest entry first.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "list_audit", tag = "audit",
    params(Narrow, Paging),
    responses((status = 200, description = "Entries; `page` is not used, `cursor` walks on.", body = Walked<Entry>)),
    security(("token" = ["audit:read"]))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<Walked<Entry>> {
    let Narrow { action, object_kind, object_id, actor, after, before, cursor } = narrow;
    let wrong = |_| Problem::field("/cursor", "it is no cursor of this list: leave it out for the first page");
    let from = cursor.filter(|text| !text.is_empty()).map(|text| text.parse::<i64>()).transpose().map_err(wrong)?;
    let filter = Filter { action, object_kind, object_id, actor, after, before };
    let size = page.size();
    let data = service::list(&app.db, caller.tenant(), &filter, from, size).await?;
    let next = data.last().filter(|_| data.len() as u64 == size).map(|last| last.seq.to_string());
    Ok(Walked { data, size, next })
}

/// Proves the chain of the record: that no entry was changed or removed.
#[utoipa::path(
    get, path = "/api/v1/audit/verify", operation_id = "verify_audit", tag = "audit",
    responses((status = 200, description = "Whether the chain is whole, and its last hash.", body = Data<Verdict>)),
    security(("token" = ["audit:read"]))
)]
async fn verify(State(app): State<App>, caller: Caller, _: Query<Unfiltered>) -> Answer<Data<Verdict>> {
    Ok(data(service::verify(&app.db, caller.tenant()).await?))
}

/// The form of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// One JSON object a line, hashes included: the chain can be proved from it alone.
    #[default]
    Jsonl,
    /// A table for people, without the states.
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The form; `jsonl` if it is left out.
    #[serde(default)]
    #[param(inline)]
    format: Form,
    /// Only entries behind this place in the chain.
    #[serde(default)]
    after_seq: Option<i64>,
}

/// Exports the record in the order of the chain.
#[utoipa::path(
    get, path = "/api/v1/audit/export", operation_id = "export_audit", tag = "audit",
    params(Wanted),
    responses((
        status = 200, description = "Entries, a line each.",
        content((String = "application/x-ndjson"), (String = "text/csv"))
    )),
    security(("token" = ["audit:read"]))
)]
async fn export(State(app): State<App>, caller: Caller, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let Wanted { format, after_seq } = wanted;
    let (media_type, name) = match format {
        Form::Jsonl => ("application/x-ndjson", "audit.jsonl"),
        Form::Csv => ("text/csv; charset=utf-8", "audit.csv"),
    };
    let from = after_seq.unwrap_or(0).max(0);
    // The first part decides whether there is an answer at all; what fails later breaks it off.
    let first = part(&app.db, caller.tenant(), from, format).await?;
    let head = (format == Form::Csv).then(|| Bytes::from(CSV_HEAD));
    let state = (app.db.clone(), caller.actor.tenant, Ok(first));
    let parts = stream::unfold(state, move |(db, tenant, read)| async move {
        match read {
            Ok(Some((lines, last))) => {
                let next = part(&db, &tenant, last, format).await;
                Some((Ok(lines), (db, tenant, next)))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(error = chain(&error), "an export of the audit record broke off");
                Some((Err(std::io::Error::other("the export broke off")), (db, tenant, Ok(None))))
            }
        }
    });
    let body = Body::from_stream(stream::iter(head.map(Ok)).chain(parts));
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, body).into_response())
}

const CSV_HEAD: &str = "seq,at,actor_kind,actor_name,address,action,object_kind,object_id,reason,request_id,hash\n";

/// Writes the entries behind a place; `None` if there are none.
async fn part(db: &Db, tenant: &TenantId, after: i64, format: Form) -> Result<Option<(Bytes, i64)>> {
    let entries = service::after(db, tenant, after, STRIDE).await?;
    let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
    let mut text = String::new();
    for entry in &entries {
        match format {
            Form::Jsonl => text.push_str(&serde_json::to_string(entry).unwrap_or_default()),
            Form::Csv => text.push_str(&csv(entry)),
        }
        text.push('\n');
    }
    Ok(Some((Bytes::from(text), last)))
}

fn csv(entry: &Entry) -> String {
    let cells = [
        entry.seq.to_string(),
        entry.at.to_rfc3339(),
        entry.actor_kind.to_string(),
        entry.actor_name.clone(),
        entry.address.clone().unwrap_or_default(),
        entry.action.clone(),
        entry.object_kind.clone(),
        entry.object_id.clone(),
        entry.reason.clone().unwrap_or_default(),
        entry.request_id.clone().unwrap_or_default(),
        entry.hash.clone(),
    ];
    cells.map(|cell| quoted(&cell)).join(",")
}

/// Quotes a cell; one that a spreadsheet would take for a formula becomes text.
fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for (cell, written) in
            [("plain", "\"plain\""), ("=1+1", "\"'=1+1\""), ("a\"b", "\"a\"\"b\""), ("@x", "\"'@x\"")]
        {
            assert_eq!(quoted(cell), written);
        }
    }
}
