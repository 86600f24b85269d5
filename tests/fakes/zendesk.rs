//! A Zendesk on a free loopback port.
//!
//! It does what the real one does where that hurts: a page of the export repeats the last ticket of the page before, users come
//! beside the tickets, a deleted ticket stays in the export, a stranger is somebody without an id, the first comment of a ticket does
//! not change, and `safe_update` compares.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use deskhand::work_orders::model::{Change, Status};
use serde_json::{Value, json};

use super::desk::{Connected, Hosted};
use super::tickets::{AGENTS, Server, Shared, Ticket, Unlisted, Words, World, date, list, lock, words};

/// Whose token it is.
pub(crate) const USER: &str = "agent@example.com";
/// The API token.
pub(crate) const TOKEN: &str = "a-zendesk-api-token";
/// An OAuth access token.
pub(crate) const OAUTH: &str = "an-oauth-access-token";

const WORDS: Words = Words(["new", "open", "closed"], ["urgent", "high", "normal", "low"]);

/// Starts one with so many tickets.
pub(crate) async fn start(count: u64) -> Hosted {
    let routes = Router::new()
        .route("/api/v2/users/me.json", get(me))
        .route("/api/v2/users/search.json", get(users))
        .route("/api/v2/incremental/tickets/cursor.json", get(export))
        .route("/api/v2/tickets/{file}", get(show).put(change));
    let server = Server::start(routes, (count, &WORDS), known, "/me.json").await;
    let refused = (Change { status: Some(Status::Cancelled), ..Change::default() }, "solved (resolved)");
    let settings = Connected { name: "ops zendesk", username: Some(USER), api_key: TOKEN, settings: &[] };
    Hosted { takes_text: false, has_labels: true, tells_deletions: true, ..Hosted::new(server, &settings, refused) }
}

fn known(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USER}/token:{TOKEN}"));
    given == format!("Basic {basic}") || given == format!("Bearer {OAUTH}")
}

async fn me(headers: HeaderMap) -> Json<Value> {
    Json(if known(&headers) {
        json!({"user": {"id": 5, "name": "Sync Robot", "role": "admin", "iana_time_zone": "Asia/Shanghai"}})
    } else {
        json!({"user": {"id": null, "name": "Anonymous user", "role": "end-user"}})
    })
}

async fn users(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let term = query.get("query").map(|term| term.to_lowercase()).unwrap_or_default();
    let is_found = |text: &str| text.to_lowercase().contains(&term);
    let found = AGENTS.iter().filter(|agent| [agent.name, agent.email].iter().any(|text| is_found(text)));
    let mut users: Vec<_> =
        found.map(|agent| json!({"id": agent.id, "name": agent.name, "email": agent.email, "role": "agent"})).collect();
    users.push(json!({"id": 99, "name": "Nobody Known", "email": "asks@example.com", "role": "end-user"}));
    Json(json!({"users": users}))
}

fn shown(ticket: &Ticket) -> Value {
    if ticket.spoilt {
        return json!({"id": ticket.id, "error": "cannot be shown"});
    }
    let status = if ticket.deleted { "deleted" } else { &ticket.status };
    json!({
        "id": ticket.id, "subject": ticket.title, "description": ticket.description, "status": status,
        "priority": ticket.priority, "requester_id": 77, "assignee_id": ticket.assignee.map(|agent| agent.id),
        "created_at": date(1_704_067_200), "updated_at": date(ticket.updated_s), "type": ticket.kind, "tags": ticket.labels,
        "due_at": ticket.due.as_ref().map(|day| format!("{day}T23:59:59Z")), "generated_timestamp": ticket.updated_s,
    })
}

fn side_loaded() -> Value {
    let mut users: Vec<_> =
        AGENTS.iter().map(|agent| json!({"id": agent.id, "name": agent.name, "email": agent.email})).collect();
    users.push(json!({"id": 77, "name": "Li Wei", "email": "li.wei@example.com"}));
    json!(users)
}

async fn export(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    list(&world, query, "/tickets/0", found).await
}

fn found(world: &World, query: &HashMap<String, String>, same: bool) -> Result<Value, Unlisted> {
    let wrong = |message: &str| (StatusCode::BAD_REQUEST, json!({"error": "InvalidValue", "description": message}));
    // A cursor names the last ticket that was given, by its change and its id; that one is given again.
    let (from, after): (i64, u64) = match (query.get("cursor"), query.get("start_time")) {
        (Some(cursor), None) => {
            let parts = cursor.strip_prefix("cursor-").and_then(|parts| parts.split_once('-'));
            let read = parts.and_then(|(from, id)| Some((from.parse().ok()?, id.parse().ok()?)));
            read.ok_or_else(|| wrong("Invalid cursor"))?
        }
        (None, Some(start)) => (start.parse().map_err(|_| wrong("Invalid start_time"))?, 0),
        _ => return Err(wrong("either start_time or cursor")),
    };
    // The page has room for what is new beside the one that is repeated.
    let asked: usize = query.get("per_page").map_or(Ok(1_000), |text| text.parse()).map_err(|_| wrong("per_page"))?;
    let size = asked.min(world.page_size).max(2);
    let mut sorted: Vec<_> =
        world.tickets.iter().filter(|ticket| (ticket.updated_s, ticket.id) >= (from, after)).collect();
    sorted.sort_by_key(|ticket| (ticket.updated_s, ticket.id));
    let page: Vec<_> = sorted.iter().take(size).collect();
    let end = page.len() == sorted.len();
    let last = page.last().map_or((from, after), |ticket| (ticket.updated_s, ticket.id));
    let cursor = match query.get("cursor") {
        Some(cursor) if same => cursor.clone(),
        _ => format!("cursor-{}-{}", last.0, last.1),
    };
    let tickets: Vec<_> = page.into_iter().map(|ticket| shown(ticket)).collect();
    let users = if query.get("include").is_some_and(|what| what == "users") { side_loaded() } else { json!([]) };
    Ok(json!({"tickets": tickets, "users": users, "after_cursor": cursor, "end_of_stream": end && !same}))
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": "RecordNotFound", "description": "Not found"}))).into_response()
}

async fn show(State(world): State<Shared>, Path(file): Path<String>) -> Response {
    let mut world = lock(&world);
    match file.strip_suffix(".json").and_then(|id| world.find(id)) {
        Some(ticket) => Json(json!({"ticket": shown(ticket), "users": side_loaded()})).into_response(),
        None => gone(),
    }
}

async fn change(State(world): State<Shared>, Path(file): Path<String>, Json(body): Json<Value>) -> Response {
    let mut world = lock(&world);
    let latest = world.latest_s();
    let Some(ticket) = file.strip_suffix(".json").and_then(|id| world.find(id)) else { return gone() };
    let fields = &body["ticket"];
    if fields["safe_update"] == true && fields["updated_stamp"] != date(ticket.updated_s) {
        let said = "Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data.";
        let body = json!({"error": "UpdateConflict", "description": said});
        return (StatusCode::CONFLICT, Json(body)).into_response();
    }
    let mut changed = ticket.clone();
    for (name, value) in fields.as_object().into_iter().flatten() {
        if let Err(message) = set(&mut changed, name, value) {
            let details = json!({name: [{"description": message, "error": "InvalidValue"}]});
            let body = json!({"error": "RecordInvalid", "description": "Record validation errors", "details": details});
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response();
        }
    }
    changed.updated_s = latest + 60;
    *ticket = changed;
    Json(json!({"ticket": shown(ticket)})).into_response()
}

fn set(ticket: &mut Ticket, name: &str, value: &Value) -> Result<(), String> {
    match (name, value) {
        ("subject", Value::String(text)) if text.is_empty() => return Err("Subject: cannot be blank".to_owned()),
        ("subject", Value::String(text)) => ticket.title.clone_from(text),
        ("status", Value::String(word)) if ["open", "pending", "hold", "solved", "closed"].contains(&word.as_str()) => {
            ticket.status.clone_from(word);
        }
        ("priority", Value::String(word)) if WORDS.1.contains(&word.as_str()) => ticket.priority.clone_from(word),
        ("assignee_id", Value::Null) => ticket.assignee = None,
        ("assignee_id", Value::Number(id)) => {
            let found = AGENTS.iter().find(|agent| Some(agent.id) == id.as_u64());
            ticket.assignee = Some(found.ok_or_else(|| "Assignee: is invalid".to_owned())?);
        }
        ("due_at", Value::Null) => ticket.due = None,
        ("due_at", Value::String(date)) => ticket.due = date.split_once('T').map(|(day, _)| day.to_owned()),
        ("type", Value::Null) => ticket.kind = None,
        ("type", Value::String(kind)) if ["problem", "incident", "question", "task"].contains(&kind.as_str()) => {
            ticket.kind = Some(kind.clone());
        }
        ("tags", Value::Array(tags)) => ticket.labels = words(tags),
        ("safe_update" | "updated_stamp", _) => {}
        _ => return Err(format!("{name}: is invalid")),
    }
    Ok(())
}
