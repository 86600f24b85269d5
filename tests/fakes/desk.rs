//! What the suite over the rack asks of the fake of every ticket system.
//!
//! The n-th ticket is the same everywhere: its status is in turn one that means pending (n = 3), processing (n = 1) and closed
//! (n = 2), its priority in turn urgent (n = 4), high, medium and low (n = 3), it is nobody's, is due on 2026-12-01, and changed a
//! minute after the ticket before, except that three in a row share their instant.

use deskhand::work_orders::adapters::Connection;
use deskhand::work_orders::model::Change;

use super::fault::Fault;
use super::jira::{Deployment, Jira};

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
    /// From now on somebody changes three tickets after each list, the earliest first. Answers whether its pages can bear that.
    fn touch_while_paging(&self) -> bool;
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

/// Starts one of each, with so many tickets.
pub(crate) async fn all(count: u64) -> Vec<(&'static str, Box<dyn Desk>)> {
    vec![
        ("jira cloud", Box::new(Jira::start(Deployment::Cloud, count).await)),
        ("jira data center", Box::new(Jira::start(Deployment::Server, count).await)),
    ]
}
