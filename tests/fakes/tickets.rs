//! The tickets of a fake, its door, and what goes wrong there: the part that is the same whatever protocol it speaks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde_json::Value;
use url::Url;

use super::deeds::{Act, Deed, Truth, day, labels};
use super::fault::Fault;

/// 2024-01-01T00:00:00Z.
const EPOCH_S: i64 = 1_704_067_200;

/// Somebody to whom a ticket may be given.
#[derive(Debug, PartialEq)]
pub(crate) struct Agent {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
}

/// Two of them have the same name.
pub(crate) static AGENTS: [Agent; 3] = [
    Agent { id: 5, name: "Li Wei", email: "li.wei@example.com" },
    Agent { id: 6, name: "Ana Sol", email: "ana.sol@example.com" },
    Agent { id: 7, name: "Ana Sol", email: "ana.sol.2@example.com" },
];

/// A ticket as a fake keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) status: String,
    pub(crate) priority: String,
    pub(crate) assignee: Option<&'static Agent>,
    /// A day.
    pub(crate) due: Option<String>,
    /// What sort of ticket it is, where there are sorts.
    pub(crate) kind: Option<String>,
    pub(crate) updated_s: i64,
    pub(crate) labels: Vec<String>,
    pub(crate) deleted: bool,
    /// Its body cannot be read.
    pub(crate) spoilt: bool,
}

/// What people do after the n-th list.
type During = Box<dyn FnMut(usize, &mut World) + Send>;

/// The words of a system for pending, processing and closed, and for urgent, high, medium and low.
#[derive(Clone, Copy)]
pub(crate) struct Words(pub(crate) [&'static str; 3], pub(crate) [&'static str; 4]);

impl Ticket {
    fn numbered(n: u64, words: &Words) -> Self {
        Self {
            id: 10_000 + n,
            title: format!("ticket number {n}"),
            description: format!("text of {n}"),
            status: words.0[n as usize % 3].to_owned(),
            priority: words.1[n as usize % 4].to_owned(),
            assignee: None,
            due: Some("2026-12-01".to_owned()),
            kind: Some("task".to_owned()),
            updated_s: EPOCH_S + (n / 3) as i64 * 180,
            labels: vec!["printer".to_owned()],
            deleted: false,
            spoilt: false,
        }
    }
}

/// What names the n-th ticket.
pub(crate) fn id_of(n: u64) -> String {
    (10_000 + n).to_string()
}

/// Reads a list of texts.
pub(crate) fn words(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Why there is no list: a status and what is said.
pub(crate) type Unlisted = (StatusCode, Value);

/// Writes an instant as most systems do.
pub(crate) fn date(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).expect("in range").format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a fake keeps.
pub(crate) struct World {
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) page_size: usize,
    /// The queries of the lists so far.
    pub(crate) lists: Vec<HashMap<String, String>>,
    faults: HashMap<usize, Fault>,
    next_fault: Option<Fault>,
    words: Words,
    during: Option<During>,
    touch_before_change: Option<u64>,
    known: fn(&HeaderMap) -> bool,
    /// The end of the path that strangers may call; empty if there is none.
    open: &'static str,
    /// Where the fake is.
    pub(crate) site: String,
}

pub(crate) type Shared = Arc<Mutex<World>>;

/// Opens what a fake keeps.
pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("no panic in the fake")
}

impl World {
    /// Finds a ticket that is there.
    pub(crate) fn find(&mut self, id: &str) -> Option<&mut Ticket> {
        self.tickets.iter_mut().find(|ticket| !ticket.deleted && ticket.id.to_string() == id)
    }

    /// When any ticket changed last.
    pub(crate) fn latest_s(&self) -> i64 {
        self.tickets.iter().map(|ticket| ticket.updated_s).max().unwrap_or(EPOCH_S)
    }

    /// Somebody changes a ticket: it becomes the latest of all.
    pub(crate) fn touch(&mut self, id: u64) {
        let latest = self.latest_s();
        let ticket = self.tickets.iter_mut().find(|ticket| ticket.id == id).expect("it is there");
        ticket.title = format!("touched {}", id - 10_000);
        ticket.updated_s = latest + 60;
    }
}

impl World {
    /// Somebody does something now; to a ticket that is not there nothing can be done but to bring it back.
    pub(crate) fn act(&mut self, act: &Act) {
        let at = (self.latest_s() + act.after_s).max(EPOCH_S);
        let count = self.tickets.len() as u64;
        if matches!(act.deed, Deed::Make) {
            self.tickets.push(Ticket { updated_s: at, ..Ticket::numbered(count + 1, &self.words) });
            return;
        }
        let words = self.words;
        let ticket = &mut self.tickets[(act.n % count) as usize];
        if ticket.deleted != matches!(act.deed, Deed::Restore) {
            return;
        }
        match &act.deed {
            Deed::Make => {}
            Deed::Title(word) => ticket.title = format!("title {word}"),
            Deed::Text(word) => ticket.description = format!("text {word}"),
            Deed::Status(word) => words.0[usize::from(*word) % 3].clone_into(&mut ticket.status),
            Deed::Priority(word) => words.1[usize::from(*word) % 4].clone_into(&mut ticket.priority),
            Deed::Give(who) => ticket.assignee = who.map(|who| &AGENTS[usize::from(who) % 3]),
            Deed::Due(due) => ticket.due = due.map(day),
            Deed::Label(count) => ticket.labels = labels(*count),
            Deed::Remove => ticket.deleted = true,
            Deed::Restore => ticket.deleted = false,
            Deed::Spoil => ticket.spoilt = true,
            Deed::Mend => ticket.spoilt = false,
        }
        if !act.deed.is_silent() {
            ticket.updated_s = ticket.updated_s.max(at);
        }
    }

    /// Somebody does this after each of the next lists.
    pub(crate) fn act_while_paging(&mut self, acts: Vec<Vec<Act>>) {
        let mut acts = acts.into_iter();
        self.during = Some(Box::new(move |_, world| acts.next().into_iter().flatten().for_each(|act| world.act(&act))));
    }

    /// Nothing goes wrong any more, and nobody does anything.
    pub(crate) fn calm(&mut self) {
        (self.during, self.next_fault) = (None, None);
        self.faults.clear();
    }

    /// How every ticket stands.
    pub(crate) fn truth(&self) -> Vec<Truth> {
        let told = |ticket: &Ticket| Truth {
            id: ticket.id.to_string(),
            title: ticket.title.clone(),
            text: ticket.description.clone(),
            status: ticket.status.clone(),
            priority: ticket.priority.clone(),
            assignee: ticket.assignee.map(|agent| agent.name.to_owned()),
            due: ticket.due.clone(),
            labels: Some(ticket.labels.clone()),
            is_gone: ticket.deleted,
            is_spoilt: ticket.spoilt,
        };
        self.tickets.iter().map(told).collect()
    }
}

/// Answers a request for a list: `find` says what is on the page, `first` where the first ticket is on it.
pub(crate) async fn list(
    world: &Shared,
    query: HashMap<String, String>,
    first: &str,
    find: impl FnOnce(&World, &HashMap<String, String>, bool) -> Result<Value, Unlisted>,
) -> Response {
    let fault = {
        let mut world = lock(world);
        world.lists.push(query.clone());
        world.faults.get(&world.lists.len()).cloned()
    };
    if let Some(fault) = &fault
        && let Some(answer) = fault.instead().await
    {
        return answer;
    }
    let mut world = lock(world);
    let mut answer = match find(&world, &query, matches!(fault, Some(Fault::SameToken))) {
        Ok(answer) => answer,
        Err((status, said)) => return (status, axum::Json(said)).into_response(),
    };
    if matches!(fault, Some(Fault::BrokenIssue))
        && let Some(ticket) = answer.pointer_mut(first).and_then(Value::as_object_mut)
    {
        ticket.remove("id");
    }
    let count = world.lists.len();
    if let Some(mut during) = world.during.take() {
        during(count, &mut world);
        world.during = Some(during);
    }
    Fault::deliver(fault.as_ref(), &answer)
}

/// A running fake; it stops when it is dropped.
pub(crate) struct Server {
    pub(crate) url: Url,
    world: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts one below a path, as many systems are.
    pub(crate) async fn start(
        routes: Router<Shared>,
        (count, words): (u64, &Words),
        known: fn(&HeaderMap) -> bool,
        open: &'static str,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let world = Arc::new(Mutex::new(World {
            tickets: (1..=count).map(|n| Ticket::numbered(n, words)).collect(),
            page_size: 100,
            lists: Vec::new(),
            faults: HashMap::new(),
            next_fault: None,
            words: *words,
            during: None,
            touch_before_change: None,
            known,
            open,
            site: format!("http://{address}/desk"),
        }));
        let app = Router::new()
            .nest("/desk", routes)
            .layer(from_fn_with_state(world.clone(), let_in))
            .with_state(world.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves until aborted") });
        Self { url: Url::parse(&format!("http://{address}/desk")).expect("a url"), world, task }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(crate) fn fault(&self, list: usize, fault: Fault) {
        self.world().faults.insert(list, fault);
    }

    pub(crate) fn fault_next(&self, fault: Fault) {
        self.world().next_fault = Some(fault);
    }

    pub(crate) fn touch(&self, n: u64) {
        self.world().touch(10_000 + n);
    }

    pub(crate) fn touch_while_paging(&self) {
        let mut touched = 0;
        self.world().during = Some(Box::new(move |_, world| {
            for n in touched * 3..touched * 3 + 3 {
                if let Some(id) = world.tickets.get(n).map(|ticket| ticket.id) {
                    world.touch(id);
                }
            }
            touched += 1;
        }));
    }

    /// Somebody changes a ticket just before the next change arrives.
    pub(crate) fn touch_before_next_change(&self, n: u64) {
        self.world().touch_before_change = Some(n);
    }

    /// Removes a ticket; what is left of it is the latest of all.
    pub(crate) fn remove(&self, n: u64) {
        let mut world = self.world();
        world.touch(10_000 + n);
        world.find(&id_of(n)).expect("it is there").deleted = true;
    }
}

async fn let_in(State(world): State<Shared>, request: Request, next: Next) -> Response {
    let (fault, known, open) = {
        let mut world = lock(&world);
        if request.method() != Method::GET
            && let Some(n) = world.touch_before_change.take()
        {
            world.touch(10_000 + n);
        }
        (world.next_fault.take(), (world.known)(request.headers()), world.open)
    };
    match fault {
        Some(fault) => fault.instead().await.expect("a fault of any request"),
        None if known || (!open.is_empty() && request.uri().path().ends_with(open)) => next.run(request).await,
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}
