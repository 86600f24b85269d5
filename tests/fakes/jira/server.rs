use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::{Issue, edit};
use crate::fakes::fault::Fault;

/// The account's name.
pub(crate) const USER: &str = "sync@example.com";
/// Its password, and its API token on Cloud.
pub(crate) const PASSWORD: &str = "correct horse";
/// A personal access token of Data Center.
pub(crate) const TOKEN: &str = "a-personal-access-token";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    Cloud,
    Server,
}

/// What users do between two searches, of which the number is given.
pub(super) type Edit = Box<dyn FnMut(usize, &mut World) + Send>;

/// Which searches fail.
type Broken = Box<dyn Fn(&str) -> bool + Send>;

pub(super) struct World {
    pub(super) deployment: Deployment,
    pub(super) issues: Vec<Issue>,
    /// What was removed.
    pub(super) removed: Vec<Issue>,
    /// What goes wrong with the next request of whatever kind.
    pub(super) next_fault: Option<Fault>,
    max_results: usize,
    pub(super) faults: HashMap<usize, Fault>,
    searches: Vec<String>,
    requests: usize,
    traceparents: Vec<String>,
    pub(super) during: Option<Edit>,
    broken: Option<Broken>,
    held: watch::Sender<bool>,
}

pub(super) type Shared = Arc<Mutex<World>>;

/// A running fake; it stops when it is dropped.
pub(crate) struct Jira {
    pub(crate) url: Url,
    world: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Jira {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Jira {
    /// Starts one with `count` issues, below the path `/jira` as many Data Centers are.
    pub(crate) async fn start(deployment: Deployment, count: u64) -> Self {
        let world = Arc::new(Mutex::new(World {
            deployment,
            issues: (1..=count).map(Issue::numbered).collect(),
            removed: Vec::new(),
            next_fault: None,
            max_results: 200,
            faults: HashMap::new(),
            searches: Vec::new(),
            requests: 0,
            traceparents: Vec::new(),
            during: None,
            broken: None,
            held: watch::Sender::new(false),
        }));
        let api = match deployment {
            Deployment::Cloud => Router::new()
                .route("/rest/api/3/search/jql", get(search))
                .route("/rest/api/3/search/approximate-count", post(count_issues))
                .route("/rest/api/3/search", get(|| async { StatusCode::GONE }))
                .route("/rest/api/2/search", get(|| async { StatusCode::GONE }))
                .route("/rest/api/3/myself", get(myself)),
            Deployment::Server => {
                Router::new().route("/rest/api/2/search", get(search)).route("/rest/api/2/myself", get(myself))
            }
        };
        let version = if deployment == Deployment::Cloud { "3" } else { "2" };
        let app = Router::new()
            .nest("/jira", api.nest(&format!("/rest/api/{version}"), edit::routes()))
            .layer(from_fn_with_state(world.clone(), count_requests))
            .with_state(world.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves until aborted") });
        Self { url: Url::parse(&format!("http://{address}/jira")).expect("a url"), world, task }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no panic in the fake")
    }

    /// Returns at most so many issues at once, whatever is asked for.
    pub(crate) fn max_results(self, max_results: usize) -> Self {
        self.set_max_results(max_results);
        self
    }

    pub(super) fn set_max_results(&self, max_results: usize) {
        self.world().max_results = max_results;
    }

    /// Lets the `search`-th search go wrong; the first is 1.
    pub(crate) fn fault(self, search: usize, fault: Fault) -> Self {
        self.set_fault(search, fault);
        self
    }

    pub(super) fn set_fault(&self, search: usize, fault: Fault) {
        self.world().faults.insert(search, fault);
    }

    pub(super) fn deployment(&self) -> Deployment {
        self.world().deployment
    }

    /// Lets the next request go wrong, whatever it is.
    pub(super) fn set_next_fault(&self, fault: Fault) {
        self.world().next_fault = Some(fault);
    }

    /// Changes issues now.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Vec<Issue>)) {
        change(&mut self.world().issues);
    }

    /// Changes issues after each search, as users do while one pages.
    pub(crate) fn edit_while_paging(&self, mut change: impl FnMut(usize, &mut Vec<Issue>) + Send + 'static) {
        self.world().during = Some(Box::new(move |search, world| change(search, &mut world.issues)));
    }

    /// Lets the request behind the next search go wrong.
    pub(crate) fn fault_behind_search(&self, fault: Fault) {
        let mut fault = Some(fault);
        self.world().during = Some(Box::new(move |_, world| world.next_fault = fault.take()));
    }

    /// From now on searches fail whose JQL is one of these.
    pub(crate) fn break_searches(&self, broken: impl Fn(&str) -> bool + Send + 'static) {
        self.world().broken = Some(Box::new(broken));
    }

    /// The JQL of all searches so far.
    pub(crate) fn searches(&self) -> Vec<String> {
        self.world().searches.clone()
    }

    /// Lets every request wait, from now until it is told to go on.
    pub(crate) fn hold(&self, held: bool) {
        self.world().held.send_replace(held);
    }

    /// The trace context of every request that had one.
    pub(crate) fn traceparents(&self) -> Vec<String> {
        self.world().traceparents.clone()
    }

    /// How many requests came, of whatever kind.
    pub(crate) fn requests(&self) -> usize {
        self.world().requests
    }
}

async fn count_requests(State(world): State<Shared>, request: Request, next: Next) -> Response {
    let fault = world.lock().expect("no panic in the fake").next_fault.take();
    let mut held = {
        let mut world = world.lock().expect("no panic in the fake");
        world.requests += 1;
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        world.traceparents.extend(traceparent.map(str::to_owned));
        world.held.subscribe()
    };
    held.wait_for(|held| !held).await.expect("the fake is there");
    match fault {
        Some(fault) => fault.instead().await.expect("a fault of any request"),
        None => next.run(request).await,
    }
}

pub(super) fn is_known(deployment: Deployment, headers: &HeaderMap) -> Option<bool> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let bearer = deployment == Deployment::Server && given == format!("Bearer {TOKEN}");
    Some(bearer || given == format!("Basic {basic}"))
}

async fn myself(State(world): State<Shared>, headers: HeaderMap) -> Response {
    let deployment = world.lock().expect("no panic in the fake").deployment;
    match is_known(deployment, &headers) {
        Some(true) => axum::Json(json!({"displayName": "Sync Robot", "active": true, "timeZone": "Asia/Shanghai"}))
            .into_response(),
        _ => (StatusCode::UNAUTHORIZED, "Client must be authenticated to access this resource.").into_response(),
    }
}

async fn search(
    State(world): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let (fault, known) = {
        let mut world = world.lock().expect("no panic in the fake");
        world.searches.push(query.get("jql").cloned().unwrap_or_default());
        let count = world.searches.len();
        let is_broken = world.searches.last().zip(world.broken.as_ref()).is_some_and(|(jql, broken)| broken(jql));
        let fault = if is_broken { Some(Fault::Status(500)) } else { world.faults.get(&count).cloned() };
        (fault, is_known(world.deployment, &headers))
    };
    if let Some(fault) = &fault
        && let Some(answer) = fault.instead().await
    {
        return answer;
    }
    let mut world = world.lock().expect("no panic in the fake");
    let answer = match known {
        Some(false) => return StatusCode::UNAUTHORIZED.into_response(),
        // A stranger sees the public projects: there are none.
        None => found(&World { issues: Vec::new(), ..world.blank() }, &query),
        Some(true) => found(&world, &query),
    };
    let count = world.searches.len();
    if let Some(mut during) = world.during.take() {
        during(count, &mut world);
        world.during = Some(during);
    }
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(message) => {
            return (StatusCode::BAD_REQUEST, axum::Json(json!({"errorMessages": [message]}))).into_response();
        }
    };
    match fault {
        Some(Fault::SameToken) => {
            answer["nextPageToken"] = query.get("nextPageToken").map_or(json!("token+0+"), |token| json!(token));
            answer["isLast"] = json!(false);
        }
        Some(Fault::BrokenIssue) => answer["issues"][0] = json!({"key": "OPS-BROKEN"}),
        _ => {}
    }
    Fault::deliver(fault.as_ref(), &answer)
}

impl World {
    fn blank(&self) -> World {
        World {
            deployment: self.deployment,
            issues: Vec::new(),
            removed: Vec::new(),
            next_fault: None,
            max_results: self.max_results,
            faults: HashMap::new(),
            searches: Vec::new(),
            requests: 0,
            traceparents: Vec::new(),
            during: None,
            broken: None,
            held: watch::Sender::new(false),
        }
    }
}

async fn count_issues(
    State(world): State<Shared>,
    headers: HeaderMap,
    axum::Json(body): axum::Json<Value>,
) -> Response {
    let world = world.lock().expect("no panic in the fake");
    if is_known(world.deployment, &headers) != Some(true) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match bounds(&format!("{} ORDER BY {EARLIEST}", body["jql"].as_str().unwrap_or_default()), world.deployment) {
        Ok(wanted) => {
            let count = world.issues.iter().filter(|issue| wanted.contains(&issue.updated_ms)).count();
            axum::Json(json!({"count": count})).into_response()
        }
        Err(message) => (StatusCode::BAD_REQUEST, axum::Json(json!({"errorMessages": [message]}))).into_response(),
    }
}

const EARLIEST: &str = "updated ASC, key ASC";
const LATEST: &str = "updated DESC, key ASC";

fn found(world: &World, query: &HashMap<String, String>) -> Result<Value, String> {
    let jql = query.get("jql").map_or("", String::as_str);
    let wanted = bounds(jql, world.deployment)?;
    let mut issues: Vec<_> = world.issues.iter().filter(|issue| wanted.contains(&issue.updated_ms)).collect();
    issues.sort_by_key(|issue| (issue.updated_ms, issue.key.clone()));
    if jql.ends_with(LATEST) {
        issues.reverse();
    }
    let asked: usize = query.get("maxResults").map_or(Ok(50), |text| text.parse()).map_err(|_| "bad maxResults")?;
    let size = asked.min(world.max_results);
    let fields: Vec<&str> = match (query.get("fields"), world.deployment) {
        (Some(fields), _) => fields.split(',').map(str::trim).collect(),
        (None, Deployment::Cloud) => vec!["id"],
        (None, Deployment::Server) => vec!["*all"],
    };
    match world.deployment {
        Deployment::Server => {
            let start: usize = query.get("startAt").map_or(Ok(0), |text| text.parse()).map_err(|_| "bad startAt")?;
            let page = issues.iter().skip(start).take(size).map(|issue| issue.json(world.deployment, &fields));
            let page: Vec<_> = page.collect();
            Ok(json!({"startAt": start, "maxResults": size, "total": issues.len(), "issues": page}))
        }
        Deployment::Cloud => {
            // A token names the last issue of the page before by what the search sorts by, so nothing that others do moves it.
            let token = query.get("nextPageToken").map_or("token+0+", String::as_str);
            let after =
                token.strip_prefix("token+").and_then(|after| after.split_once('+')).ok_or("bad nextPageToken")?;
            let after = (after.0.parse::<i64>().map_err(|_| "bad nextPageToken")?, after.1);
            issues.retain(|issue| (issue.updated_ms, issue.key.as_str()) > after);
            let shown: Vec<_> = issues.iter().take(size).map(|issue| issue.json(world.deployment, &fields)).collect();
            match issues.get(size.saturating_sub(1)) {
                Some(last) if issues.len() > size => {
                    let token = format!("token+{}+{}", last.updated_ms, last.key);
                    Ok(json!({"issues": shown, "isLast": false, "nextPageToken": token}))
                }
                _ => Ok(json!({"issues": shown, "isLast": true})),
            }
        }
    }
}

/// Understands exactly one search, with or without an end and in two orders, and refuses all else as the real parser would.
fn bounds(jql: &str, deployment: Deployment) -> Result<Range<i64>, String> {
    let (clause, order) = jql.split_once(" ORDER BY ").ok_or_else(|| format!("Error in the JQL Query: {jql:?}"))?;
    if order != EARLIEST && order != LATEST {
        return Err(format!("Error in the JQL Query: order {order:?}"));
    }
    if clause.is_empty() {
        let unbounded = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.";
        return if deployment == Deployment::Cloud { Err(unbounded.to_owned()) } else { Ok(i64::MIN..i64::MAX) };
    }
    let value = clause.strip_prefix("updated >= ").ok_or_else(|| format!("Error in the JQL Query: {clause:?}"))?;
    let (since, until) =
        value.split_once(" AND updated < ").map_or((value, None), |(since, until)| (since, Some(until)));
    let read = |value: &str| value.parse().map_err(|_| format!("Date value '{value}' for field 'updated' is invalid."));
    Ok(read(since)?..until.map_or(Ok(i64::MAX), read)?)
}
