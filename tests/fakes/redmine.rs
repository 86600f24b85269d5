//! A Redmine on a free loopback port.
//!
//! It does what the real one does where that hurts: at most 100 issues at once, dates to the second, no addresses of people, no
//! trace of what was deleted, and 204 for a step that the workflow does not have, with the status left as it was.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use deskhand::work_orders::model::{Change, Status};
use serde_json::{Value, json};

use super::desk::{Connected, Hosted};
use super::tickets::{AGENTS, Server, Shared, Ticket, Unlisted, Words, World, date, list, lock};

/// The API access key.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

const WORDS: Words = Words(["New", "In Progress", "Closed"], ["Immediate", "High", "Normal", "Low"]);

/// Of the one project; by number, from 1.
const CATEGORIES: [&str; 2] = ["task", "incident"];

/// By number, from 1; whether it is closed.
const STATUSES: [(&str, bool); 5] =
    [("New", false), ("In Progress", false), ("Resolved", false), ("Closed", true), ("Rejected", true)];

/// Starts one with so many issues; `old` is one that does not yet tell the steps of its workflow.
pub(crate) async fn start(count: u64, old: bool) -> Hosted {
    let show = if old { get(show_old) } else { get(show) };
    let routes = Router::new()
        .route("/users/current.json", get(me))
        .route("/issues.json", get(issues))
        .route("/issues/{file}", show.put(change))
        .route("/issue_statuses.json", get(statuses))
        .route("/enumerations/issue_priorities.json", get(priorities))
        .route("/projects/1/issue_categories.json", get(categories))
        .route("/projects/1/memberships.json", get(members));
    let server = Server::start(routes, (count, &WORDS), known, "").await;
    // From "New" the workflow leads to "In Progress" and to "Rejected".
    let refused = (Change { status: Some(Status::Resolved), ..Change::default() }, "In Progress (processing)");
    let settings = Connected { name: "ops redmine", username: None, api_key: KEY, settings: &[] };
    Hosted::new(server, &settings, refused)
}

fn known(headers: &HeaderMap) -> bool {
    headers.get("x-redmine-api-key").is_some_and(|given| given == KEY)
}

async fn me() -> Json<Value> {
    Json(json!({"user": {"id": 1, "login": "sync", "firstname": "Sync", "lastname": "Robot", "api_key": KEY}}))
}

fn steps(from: &str) -> &'static [&'static str] {
    match from {
        "New" => &["New", "In Progress", "Rejected"],
        "In Progress" => &["In Progress", "Resolved", "Closed"],
        _ => &[],
    }
}

fn word(name: &str) -> Value {
    let place = STATUSES.iter().position(|(known, _)| *known == name).expect("a status");
    json!({"id": place + 1, "name": name, "is_closed": STATUSES[place].1})
}

fn shown(issue: &Ticket) -> Value {
    if issue.spoilt {
        return json!({"id": issue.id, "error": "cannot be shown"});
    }
    let category = CATEGORIES.iter().position(|known| Some(*known) == issue.kind.as_deref());
    let category = category.map(|place| json!({"id": place + 1, "name": CATEGORIES[place]}));
    let priority = WORDS.1.iter().position(|known| *known == issue.priority).expect("a priority");
    json!({
        "id": issue.id, "project": {"id": 1, "name": "Service Desk"}, "tracker": {"id": 3, "name": "Support"},
        "status": word(&issue.status), "priority": {"id": priority + 1, "name": issue.priority},
        "author": {"id": 5, "name": "Li Wei"},
        "assigned_to": issue.assignee.map(|agent| json!({"id": agent.id, "name": agent.name})),
        "subject": issue.title, "description": issue.description, "due_date": issue.due, "category": category,
        "created_on": date(1_704_067_200), "updated_on": date(issue.updated_s), "closed_on": null,
    })
}

async fn issues(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    list(&world, query, "/issues/0", found).await
}

fn found(world: &World, query: &HashMap<String, String>, same: bool) -> Result<Value, Unlisted> {
    let wrong = |message: &str| (StatusCode::UNPROCESSABLE_ENTITY, json!({"errors": [message]}));
    let get = |name: &str| query.get(name).map_or("", String::as_str);
    if get("status_id") != "*" || get("sort") != "updated_on,id" {
        return Err(wrong("this list has no closed issues, or another order"));
    }
    let (since, until) = changes(get("updated_on")).ok_or_else(|| wrong("Updated on is invalid"))?;
    let number = |name: &str| get(name).parse::<usize>().map_err(|_| wrong("not a number"));
    let (offset, limit) = (if same { 0 } else { number("offset")? }, number("limit")?.min(100).min(world.page_size));
    let mut found: Vec<_> = world
        .tickets
        .iter()
        .filter(|issue| !issue.deleted && (same || (since..=until).contains(&issue.updated_s)))
        .collect();
    found.sort_by_key(|issue| (issue.updated_s, issue.id));
    let page: Vec<_> = found.iter().skip(offset).take(limit).map(|issue| shown(issue)).collect();
    Ok(json!({"issues": page, "total_count": found.len(), "offset": offset, "limit": limit}))
}

/// Reads `>=` a time, or `><` two of them, which both belong to what is wanted.
fn changes(text: &str) -> Option<(i64, i64)> {
    let instant = |text: &str| Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp());
    if let Some(since) = text.strip_prefix(">=") {
        return Some((instant(since)?, i64::MAX));
    }
    let (since, until) = text.strip_prefix("><")?.split_once('|')?;
    Some((instant(since)?, instant(until)?))
}

async fn show(
    State(world): State<Shared>,
    Path(file): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let allowed = query.get("include").is_some_and(|what| what == "allowed_statuses");
    tell(&world, &file, allowed)
}

async fn show_old(State(world): State<Shared>, Path(file): Path<String>) -> Response {
    tell(&world, &file, false)
}

fn tell(world: &Shared, file: &str, allowed: bool) -> Response {
    let mut world = lock(world);
    let Some(issue) = file.strip_suffix(".json").and_then(|id| world.find(id)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut shown = shown(issue);
    if allowed {
        shown["allowed_statuses"] = steps(&issue.status).iter().map(|name| word(name)).collect();
    }
    Json(json!({"issue": shown})).into_response()
}

async fn change(State(world): State<Shared>, Path(file): Path<String>, Json(body): Json<Value>) -> Response {
    let mut world = lock(&world);
    let latest = world.latest_s();
    let Some(issue) = file.strip_suffix(".json").and_then(|id| world.find(id)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut changed = issue.clone();
    let mut errors = Vec::new();
    for (name, value) in body["issue"].as_object().into_iter().flatten() {
        errors.extend(set(&mut changed, name, value).err());
    }
    if !errors.is_empty() {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"errors": errors}))).into_response();
    }
    changed.updated_s = latest + 60;
    *issue = changed;
    StatusCode::NO_CONTENT.into_response()
}

fn set(issue: &mut Ticket, name: &str, value: &Value) -> Result<(), String> {
    let place =
        |length: usize| value.as_u64().and_then(|id| usize::try_from(id).ok()).filter(|id| (1..=length).contains(id));
    match (name, value) {
        ("subject", Value::String(text)) if text.is_empty() => return Err("Subject cannot be blank".to_owned()),
        ("subject", Value::String(text)) => issue.title.clone_from(text),
        ("description", Value::String(text)) => issue.description.clone_from(text),
        ("due_date" | "assigned_to_id" | "category_id", Value::String(text)) if text.is_empty() => match name {
            "due_date" => issue.due = None,
            "category_id" => issue.kind = None,
            _ => issue.assignee = None,
        },
        ("category_id", _) => {
            issue.kind = Some(CATEGORIES[place(2).ok_or("Category is invalid")? - 1].to_owned());
        }
        ("due_date", Value::String(day)) if day.len() == 10 => issue.due = Some(day.clone()),
        ("assigned_to_id", _) => {
            let found = AGENTS.iter().find(|agent| Some(agent.id) == value.as_u64());
            issue.assignee = Some(found.ok_or("Assignee is invalid")?);
        }
        ("priority_id", _) => WORDS.1[place(4).ok_or("Priority is invalid")? - 1].clone_into(&mut issue.priority),
        ("status_id", _) => {
            let (wanted, _) = STATUSES[place(5).ok_or("Status is invalid")? - 1];
            if steps(&issue.status).contains(&wanted) {
                wanted.clone_into(&mut issue.status);
            }
        }
        _ => return Err(format!("{name} is invalid")),
    }
    Ok(())
}

async fn statuses() -> Json<Value> {
    Json(json!({"issue_statuses": STATUSES.iter().map(|(name, _)| word(name)).collect::<Vec<_>>()}))
}

async fn priorities() -> Json<Value> {
    let shown: Vec<_> = WORDS
        .1
        .iter()
        .enumerate()
        .map(|(place, name)| json!({"id": place + 1, "name": name, "active": true}))
        .collect();
    Json(json!({"issue_priorities": shown}))
}

async fn categories() -> Json<Value> {
    let shown = CATEGORIES.iter().enumerate().map(|(place, name)| json!({"id": place + 1, "name": name}));
    Json(json!({"issue_categories": shown.collect::<Vec<_>>()}))
}

async fn members() -> Json<Value> {
    let shown: Vec<_> = AGENTS
        .iter()
        .map(|agent| json!({"id": agent.id, "user": {"id": agent.id, "name": agent.name}, "roles": []}))
        .collect();
    Json(json!({"memberships": shown, "total_count": shown.len(), "offset": 0, "limit": 100}))
}
