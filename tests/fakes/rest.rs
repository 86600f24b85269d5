//! An API as somebody's own desk could have: nothing of it is known to the program but by settings.
//!
//! "from" means later than, "to" means earlier than, pages come in any of the usual ways, deleted tickets stay in the list and say so.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use deskhand::work_orders::model::{Change, Status};
use serde_json::{Value, json};

use super::desk::{Connected, Hosted};
use super::tickets::{AGENTS, Server, Shared, Ticket, Unlisted, Words, World, date, list, lock, words};

/// The key.
pub(crate) const KEY: &str = "a-key-of-their-own";

const WORDS: Words = Words(["New", "In progress", "Closed"], ["Critical", "High", "Normal", "Low"]);
const STATES: [&str; 4] = ["New", "In progress", "Done", "Closed"];

/// How the pages of a fake are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paging {
    Page,
    Offset,
    Cursor,
    Link,
}

/// What is the same for all of them.
pub(crate) const SETTINGS: [(&str, &str); 25] = [
    ("account_url", "me"),
    ("account_path", "/user/name"),
    ("items_path", "/data"),
    ("total_path", "/total"),
    ("detail_url", "tickets/{id}"),
    ("detail_path", "/ticket"),
    ("update_url", "tickets/{id}"),
    ("update_path", "/ticket"),
    ("id_path", "/id"),
    ("key_path", "/ref"),
    ("title_path", "/subject"),
    ("description_path", "/body"),
    ("status_path", "/state/name"),
    ("status_values", "New, In progress, Done, Closed"),
    ("priority_path", "/prio"),
    ("priority_values", "Critical, High, Normal, Low"),
    ("assignee_path", "/owner/name"),
    ("assignee_email_path", "/owner/mail"),
    ("reporter_path", "/asker"),
    ("created_path", "/created"),
    ("updated_path", "/changed"),
    ("category_path", "/about"),
    ("tags_path", "/labels"),
    ("url_path", "/web"),
    ("deleted_path", "/gone"),
];

/// What each of them has for itself.
pub(crate) fn settings(paging: Paging) -> Vec<(&'static str, &'static str)> {
    let own: &[(&str, &str)] = match paging {
        Paging::Page => &[
            ("auth", "bearer"),
            ("paging", "page"),
            ("list_url", "tickets?kind=all&from={since}&to={until}&page={page}&size={limit}"),
            ("update_method", "PATCH"),
        ],
        Paging::Offset => &[
            ("auth", "header"),
            ("auth_header", "X-Api-Key"),
            ("paging", "offset"),
            ("list_url", "tickets?kind=all&from_ms={since}&to_ms={until}&offset={offset}&size={limit}"),
            ("since_format", "epoch_ms"),
            ("page_size", "50"),
        ],
        Paging::Cursor => &[
            ("auth", "basic"),
            ("paging", "cursor"),
            ("list_url", "tickets?kind=all&from_s={since}&cursor={cursor}&size={limit}"),
            ("cursor_path", "/meta/next"),
            ("since_format", "epoch_s"),
            ("update_method", "POST"),
        ],
        Paging::Link => &[
            ("auth", "bearer"),
            ("paging", "link"),
            ("list_url", "tickets?kind=all&from={since}&size={limit}"),
            ("next_path", "/meta/link"),
        ],
    };
    SETTINGS.iter().chain(own).copied().chain([("due_path", "/due"), ("due_format", "date")]).collect()
}

/// Starts one with so many tickets.
pub(crate) async fn start(count: u64, paging: Paging) -> Hosted {
    let routes = Router::new()
        .route("/me", get(async || Json(json!({"user": {"name": "Sync Robot"}}))))
        .route("/tickets", get(tickets))
        .route("/tickets/{id}", get(show).put(change).patch(change).post(change));
    let server = Server::start(routes, (count, &WORDS), known, "").await;
    let refused = (Change { status: Some(Status::Cancelled), ..Change::default() }, "Done (resolved)");
    let username = matches!(paging, Paging::Cursor).then_some("sync");
    let connected = Connected { name: "ops rest", username, api_key: KEY, settings: &settings(paging) };
    Hosted { tells_deletions: true, has_labels: true, ..Hosted::new(server, &connected, refused) }
}

fn known(headers: &HeaderMap) -> bool {
    use base64::Engine;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("sync:{KEY}"));
    let own = headers.get("x-api-key").is_some_and(|given| given == KEY);
    own || given == format!("Bearer {KEY}") || given == format!("Basic {basic}")
}

fn shown(site: &str, ticket: &Ticket) -> Value {
    if ticket.spoilt {
        return json!({"id": ticket.id, "error": "cannot be shown"});
    }
    json!({
        "id": ticket.id, "ref": format!("T-{}", ticket.id - 10_000), "subject": ticket.title, "body": ticket.description,
        "state": {"name": ticket.status}, "prio": ticket.priority, "asker": "Li Wei",
        "owner": ticket.assignee.map(|agent| json!({"name": agent.name, "mail": agent.email})),
        "created": date(1_704_067_200), "changed": ticket.updated_s, "due": ticket.due,
        "about": ticket.kind, "labels": ticket.labels,
        "web": format!("{site}/show/{}", ticket.id), "gone": ticket.deleted,
    })
}

async fn tickets(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    list(&world, query, "/data/0", found).await
}

fn found(world: &World, query: &HashMap<String, String>, same: bool) -> Result<Value, Unlisted> {
    let wrong = |message: &str| (StatusCode::BAD_REQUEST, json!({"message": message}));
    let number = |name: &str| query.get(name).map(|text| text.parse::<i64>().map_err(|_| wrong(name))).transpose();
    if query.get("kind").is_none_or(|kind| kind != "all") {
        return Err(wrong("kind"));
    }
    let instant = |text: &String| chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong("from"));
    let from_ms = match (query.get("from").map(instant).transpose()?, number("from_s")?, number("from_ms")?) {
        (Some(at), ..) => at.timestamp_millis(),
        (_, Some(seconds), _) => seconds * 1_000,
        (.., ms) => ms.unwrap_or(-1),
    };
    let to_ms = match (query.get("to").map(instant).transpose()?, number("to_ms")?) {
        (Some(at), _) => at.timestamp_millis(),
        (_, ms) => ms.unwrap_or(i64::MAX),
    };
    let size = usize::try_from(number("size")?.ok_or_else(|| wrong("size"))?).map_err(|_| wrong("size"))?;
    let size = size.min(world.page_size);
    let mut all: Vec<_> = world
        .tickets
        .iter()
        .filter(|ticket| same || (from_ms + 1..to_ms).contains(&(ticket.updated_s * 1_000)))
        .collect();
    all.sort_by_key(|ticket| (ticket.updated_s, ticket.id));
    let total = all.len();
    let counted = match (number("page")?, number("offset")?) {
        _ if same => 0,
        (Some(page), _) => usize::try_from(page - 1).map_err(|_| wrong("page"))? * size,
        (_, offset) => usize::try_from(offset.unwrap_or(0)).map_err(|_| wrong("offset"))?,
    };
    // What a cursor or a link names is a ticket; what comes after it does not depend on what others do.
    let after = query.get("cursor").and_then(|cursor| cursor.split_once('-'));
    let after: Option<(i64, u64)> = after.and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    let page: Vec<_> =
        all.iter().filter(|ticket| Some((ticket.updated_s, ticket.id)) > after).skip(counted).take(size).collect();
    let last = page.last().map(|ticket| format!("{}-{}", ticket.updated_s, ticket.id));
    let more = all.last().zip(page.last()).is_some_and(|(end, last)| end.id != last.id);
    let cursor = if same { query.get("cursor").cloned().or(last) } else { last.filter(|_| more) };
    let link = cursor.as_ref().map(|cursor| format!("/desk/tickets?kind=all&size={size}&cursor={cursor}"));
    let data: Vec<_> = page.into_iter().map(|ticket| shown(&world.site, ticket)).collect();
    Ok(json!({"data": data, "total": total, "meta": {"next": cursor, "link": link}}))
}

async fn show(State(world): State<Shared>, Path(id): Path<String>) -> Response {
    let mut world = lock(&world);
    let site = world.site.clone();
    match world.find(&id) {
        Some(ticket) => Json(json!({"ticket": shown(&site, ticket)})).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn change(State(world): State<Shared>, Path(id): Path<String>, Json(body): Json<Value>) -> Response {
    let mut world = lock(&world);
    let latest = world.latest_s();
    let Some(ticket) = world.find(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let mut changed = ticket.clone();
    for (name, value) in body["ticket"].as_object().into_iter().flatten() {
        if let Err(message) = set(&mut changed, name, value) {
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"errors": {name: [message]}}))).into_response();
        }
    }
    changed.updated_s = latest + 60;
    *ticket = changed;
    StatusCode::NO_CONTENT.into_response()
}

fn set(ticket: &mut Ticket, name: &str, value: &Value) -> Result<(), String> {
    match (name, value) {
        ("subject", Value::String(text)) if text.is_empty() => return Err("must not be empty".to_owned()),
        ("subject", Value::String(text)) => ticket.title.clone_from(text),
        ("body", Value::String(text)) => ticket.description.clone_from(text),
        ("due", Value::Null) => ticket.due = None,
        ("due", Value::String(day)) if day.len() == 10 => ticket.due = Some(day.clone()),
        ("about", Value::Null) => ticket.kind = None,
        ("about", Value::String(word)) => ticket.kind = Some(word.clone()),
        ("labels", Value::Array(labels)) => ticket.labels = words(labels),
        ("prio", Value::String(word)) if WORDS.1.contains(&word.as_str()) => ticket.priority.clone_from(word),
        ("state", Value::Object(state)) => {
            let word = state.get("name").and_then(Value::as_str).filter(|word| STATES.contains(word));
            word.ok_or("is no state")?.clone_into(&mut ticket.status);
        }
        ("owner", Value::Object(owner)) => {
            let (key, said) = owner.iter().next().ok_or("nobody")?;
            let Some(said) = said.as_str() else {
                ticket.assignee = None;
                return Ok(());
            };
            let same = |text: &str| text.to_lowercase() == said.to_lowercase();
            let found: Vec<_> =
                AGENTS.iter().filter(|agent| same(if key == "mail" { agent.email } else { agent.name })).collect();
            match found.as_slice() {
                [one] => ticket.assignee = Some(one),
                several => return Err(format!("{} people are called {said}", several.len())),
            }
        }
        _ => return Err("is unknown".to_owned()),
    }
    Ok(())
}
