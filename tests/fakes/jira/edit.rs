//! One issue over the REST API: shown, changed, moved along its workflow.

use std::collections::HashMap;
use std::sync::MutexGuard;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::issue::{Issue, USERS};
use crate::fakes::tickets::words;

use super::server::{Deployment, Shared, World, is_known};

/// From, id, to, category.
const WORKFLOW: [(&str, &str, &str, &str); 5] = [
    ("To Do", "11", "In Progress", "indeterminate"),
    ("In Progress", "21", "To Do", "new"),
    ("In Progress", "31", "Done", "done"),
    ("In Progress", "41", "Closed", "done"),
    ("Closed", "51", "To Do", "new"),
];

const COMPONENTS: [&str; 3] = ["hardware", "incident", "network"];

pub(super) const PRIORITIES: [&str; 4] = ["Highest", "High", "Medium", "Low"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/issue/{id}", get(show).put(change))
        .route("/issue/{id}/transitions", get(transitions).post(transit))
        .route("/priority", get(priorities))
        .route("/user/assignable/search", get(assignable))
}

/// Why an issue is not shown.
type Unseen = (StatusCode, &'static str);

/// Lets in who is known, to an issue that is there.
fn issue<'a>(world: &'a mut World, headers: &HeaderMap, id: &str) -> Result<&'a mut Issue, Unseen> {
    if is_known(world.deployment, headers) != Some(true) {
        return Err((StatusCode::UNAUTHORIZED, "You are not authenticated."));
    }
    let gone = (StatusCode::NOT_FOUND, "Issue does not exist or you do not have permission to see it.");
    world.issues.iter_mut().find(|issue| issue.id.to_string() == id || issue.key == id).ok_or(gone)
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"errorMessages": [message], "errors": {}}))).into_response()
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("no panic in the fake")
}

async fn show(
    State(world): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let mut world = lock(&world);
    let deployment = world.deployment;
    let fields: Vec<_> = query.get("fields").map_or("*all", String::as_str).split(',').map(str::trim).collect();
    match issue(&mut world, &headers, &id) {
        Ok(issue) => Json(issue.json(deployment, &fields)).into_response(),
        Err((status, message)) => refusal(status, message),
    }
}

async fn change(
    State(world): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut world = lock(&world);
    let (deployment, latest_ms) = (world.deployment, world.latest_ms());
    let issue = match issue(&mut world, &headers, &id) {
        Ok(issue) => issue,
        Err((status, message)) => return refusal(status, message),
    };
    let mut changed = issue.clone();
    for (name, value) in body["fields"].as_object().into_iter().flatten() {
        if let Err(message) = set(&mut changed, deployment, name, value) {
            let refused = json!({"errorMessages": [], "errors": {name: message}});
            return (StatusCode::BAD_REQUEST, Json(refused)).into_response();
        }
    }
    changed.updated_ms = latest_ms + 60_000;
    *issue = changed;
    StatusCode::NO_CONTENT.into_response()
}

fn set(issue: &mut Issue, deployment: Deployment, name: &str, value: &Value) -> Result<(), String> {
    match (name, value) {
        ("summary", Value::String(text)) if text.is_empty() => return Err("You must specify a summary.".to_owned()),
        ("summary", Value::String(text)) => issue.summary.clone_from(text),
        ("description", Value::String(text)) if deployment == Deployment::Server => issue.description.clone_from(text),
        ("description", Value::Object(_)) if deployment == Deployment::Cloud => {
            let text = value.pointer("/content/0/content/0/text").and_then(Value::as_str);
            text.unwrap_or_default().clone_into(&mut issue.description);
        }
        ("duedate", Value::Null) => issue.due = None,
        ("duedate", Value::String(day)) if day.len() == 10 => issue.due = Some(day.clone()),
        ("assignee", Value::Null) => issue.assignee = None,
        ("assignee", _) => {
            let key = if deployment == Deployment::Cloud { "accountId" } else { "name" };
            let found = USERS.iter().find(|user| Some(user.id) == value[key].as_str());
            issue.assignee = Some(found.ok_or_else(|| "The user does not exist.".to_owned())?);
        }
        ("priority", _) => {
            let place = value["id"].as_str().and_then(|id| id.parse::<usize>().ok());
            let found = place.and_then(|place| PRIORITIES.get(place));
            issue.priority = found.ok_or_else(|| "The priority is invalid.".to_owned())?;
        }
        ("labels", Value::Array(labels)) => issue.labels = words(labels),
        ("components", Value::Array(given)) => {
            let names: Vec<_> = given.iter().map(|component| component["name"].clone()).collect();
            let names = words(&names);
            if let Some(unknown) = names.iter().find(|name| !COMPONENTS.contains(&name.as_str())) {
                return Err(format!("Component name '{unknown}' is not valid"));
            }
            issue.components = names;
        }
        // The status among them.
        _ => return Err(format!("Field '{name}' cannot be set. It is not on the appropriate screen, or unknown.")),
    }
    Ok(())
}

async fn transitions(State(world): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let mut world = lock(&world);
    let issue = match issue(&mut world, &headers, &id) {
        Ok(issue) => issue,
        Err((status, message)) => return refusal(status, message),
    };
    let from = |(from, ..): &&(&str, &str, &str, &str)| *from == issue.status;
    let shown: Vec<_> = WORKFLOW
        .iter()
        .filter(from)
        .map(|(_, id, to, category)| {
            json!({"id": id, "name": format!("Move to {to}"), "to": {"name": to, "statusCategory": {"key": category}}})
        })
        .collect();
    Json(json!({"transitions": shown})).into_response()
}

async fn transit(
    State(world): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let mut world = lock(&world);
    let latest_ms = world.latest_ms();
    let issue = match issue(&mut world, &headers, &id) {
        Ok(issue) => issue,
        Err((status, message)) => return refusal(status, message),
    };
    let wanted = body["transition"]["id"].as_str();
    let Some((_, _, to, category)) =
        WORKFLOW.iter().find(|(from, id, ..)| *from == issue.status && Some(*id) == wanted)
    else {
        return refusal(
            StatusCode::BAD_REQUEST,
            "It seems that you have tried to perform an illegal workflow operation.",
        );
    };
    (issue.status, issue.category) = (to, category);
    issue.updated_ms = latest_ms + 60_000;
    StatusCode::NO_CONTENT.into_response()
}

async fn priorities() -> Json<Value> {
    let shown = PRIORITIES.iter().enumerate().map(|(id, name)| json!({"id": id.to_string(), "name": name}));
    Json(shown.collect())
}

async fn assignable(State(world): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let deployment = lock(&world).deployment;
    let by = if deployment == Deployment::Cloud { "query" } else { "username" };
    match (query.get(by), query.get("issueKey")) {
        (Some(term), Some(_)) => {
            let found = USERS.iter().filter(|user| user.is_found_by(term)).map(|user| user.json(deployment));
            Json(found.collect::<Value>()).into_response()
        }
        _ => refusal(StatusCode::BAD_REQUEST, "the parameters are wrong"),
    }
}
