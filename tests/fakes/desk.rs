//! What the suite over the rack asks of the fake of every ticket system.
//!
//! The n-th ticket is the same everywhere: its status is in turn one that means pending (n = 3), processing (n = 1) and closed
//! (n = 2), its priority in turn urgent (n = 4), high, medium and low (n = 3), it is nobody's, is due on 2026-12-01, and changed a
//! minute after the ticket before, except that three in a row share their instant.

use chrono::DateTime;
use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::Connection;
use deskhand::work_orders::model::{Change, Mapping};

use super::deeds::{Act, Truth};
use super::fault::Fault;
use super::jira::{Deployment, Jira};
use super::rest::Paging;
use super::tickets::{Server, id_of};
use super::{redmine, rest, zendesk};
use crate::fixtures::outbound::http;

/// A running fake of a ticket system.
pub(crate) trait Desk: Send + Sync {
    /// How to reach it, as somebody whom it knows.
    fn connection(&self) -> Connection;
    /// What names the n-th ticket.
    fn id(&self, n: u64) -> String;
    /// Returns at most so many tickets at once, whatever is asked for.
    fn page_size(&self, size: usize);
    /// Lets the `list`-th request for a list go wrong; the first is 1.
    fn fault(&self, list: usize, fault: Fault);
    /// Lets the next request go wrong, whatever it is.
    fn fault_next(&self, fault: Fault);
    /// How many lists it was asked for.
    fn lists(&self) -> usize;
    /// Somebody changes the title of the n-th ticket.
    fn touch(&self, n: u64);
    /// From now on somebody changes three tickets after each list, the earliest first.
    fn touch_while_paging(&self);
    /// Somebody does something now.
    fn act(&self, act: &Act);
    /// Somebody does this after each of the next lists.
    fn act_while_paging(&self, acts: Vec<Vec<Act>>);
    /// Nothing goes wrong any more, and nobody does anything.
    fn calm(&self);
    /// How every ticket stands that there ever was, by number.
    fn truth(&self) -> Vec<Truth>;
    /// Somebody removes the n-th ticket.
    fn remove(&self, n: u64);
    /// A change of the third ticket that the system refuses, and a part of what it says.
    fn refused(&self) -> (Change, &'static str);
    /// Whether the text of a ticket can be changed.
    fn takes_text(&self) -> bool {
        true
    }
    /// Whether a list tells what was deleted.
    fn tells_deletions(&self) -> bool {
        false
    }
}

/// A fake whose tickets are the common ones.
pub(crate) struct Hosted {
    pub(crate) server: Server,
    pub(crate) takes_text: bool,
    pub(crate) has_labels: bool,
    pub(crate) tells_deletions: bool,
    pub(crate) connection: Connection,
    pub(crate) refused: (Change, &'static str),
}

/// Who we are at a fake.
pub(crate) struct Connected<'a> {
    /// Ends with the id of the adapter.
    pub(crate) name: &'static str,
    pub(crate) username: Option<&'static str>,
    pub(crate) api_key: &'static str,
    pub(crate) settings: &'a [(&'static str, &'static str)],
}

impl Hosted {
    pub(crate) fn new(server: Server, connected: &Connected<'_>, refused: (Change, &'static str)) -> Self {
        let settings = connected.settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let connection = Connection {
            name: connected.name.into(),
            api_url: server.url.clone(),
            username: connected.username.map(str::to_owned),
            api_key: Some(Secret::new(connected.api_key)),
            password: None,
            settings: settings.collect(),
            mapping: Mapping::default(),
            http: http(),
            clock: Clock::manual(DateTime::UNIX_EPOCH),
        };
        Self { server, takes_text: true, has_labels: false, tells_deletions: false, connection, refused }
    }
}

impl Desk for Hosted {
    fn connection(&self) -> Connection {
        // A client of its own: one that was asked to wait does so.
        Connection { http: http(), ..self.connection.clone() }
    }

    fn id(&self, n: u64) -> String {
        id_of(n)
    }

    fn page_size(&self, size: usize) {
        self.server.world().page_size = size;
    }

    fn fault(&self, list: usize, fault: Fault) {
        self.server.fault(list, fault);
    }

    fn fault_next(&self, fault: Fault) {
        self.server.fault_next(fault);
    }

    fn lists(&self) -> usize {
        self.server.world().lists.len()
    }

    fn touch(&self, n: u64) {
        self.server.touch(n);
    }

    fn touch_while_paging(&self) {
        self.server.touch_while_paging();
    }

    fn act(&self, act: &Act) {
        self.server.world().act(act);
    }

    fn act_while_paging(&self, acts: Vec<Vec<Act>>) {
        self.server.world().act_while_paging(acts);
    }

    fn calm(&self) {
        self.server.world().calm();
    }

    fn truth(&self) -> Vec<Truth> {
        let has_labels = self.has_labels;
        let truths = self.server.world().truth();
        truths.into_iter().map(|truth| Truth { labels: truth.labels.filter(|_| has_labels), ..truth }).collect()
    }

    fn remove(&self, n: u64) {
        self.server.remove(n);
    }

    fn refused(&self) -> (Change, &'static str) {
        self.refused.clone()
    }

    fn takes_text(&self) -> bool {
        self.takes_text
    }

    fn tells_deletions(&self) -> bool {
        self.tells_deletions
    }
}

/// Starts one of each, with so many tickets.
pub(crate) async fn all(count: u64) -> Vec<(&'static str, Box<dyn Desk>)> {
    vec![
        ("jira cloud", Box::new(Jira::start(Deployment::Cloud, count).await)),
        ("jira data center", Box::new(Jira::start(Deployment::Server, count).await)),
        ("zendesk", Box::new(zendesk::start(count).await)),
        ("redmine", Box::new(redmine::start(count, false).await)),
        ("rest by page", Box::new(rest::start(count, Paging::Page).await)),
        ("rest by offset", Box::new(rest::start(count, Paging::Offset).await)),
        ("rest by cursor", Box::new(rest::start(count, Paging::Cursor).await)),
        ("rest by link", Box::new(rest::start(count, Paging::Link).await)),
    ]
}
