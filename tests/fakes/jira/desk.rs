//! The fake as the suite over the rack sees it.

use chrono::DateTime;
use deskhand::base::{Clock, Secret};
use deskhand::work_orders::adapters::Connection;
use deskhand::work_orders::model::{Change, Mapping, Status};

use super::{Deployment, Fault, Issue, Jira, PASSWORD, USER};
use crate::fakes::deeds::{Act, Truth};
use crate::fakes::desk::Desk;
use crate::fixtures::outbound::http;

impl Desk for Jira {
    fn connection(&self) -> Connection {
        let deployment = if self.deployment() == Deployment::Cloud { "cloud" } else { "server" };
        Connection {
            name: "ops jira".into(),
            api_url: self.url.clone(),
            username: Some(USER.into()),
            api_key: Some(Secret::new(PASSWORD)),
            password: None,
            settings: [("deployment".to_owned(), deployment.to_owned())].into(),
            mapping: Mapping::default(),
            http: http(),
            clock: Clock::manual(DateTime::UNIX_EPOCH),
        }
    }

    fn id(&self, n: u64) -> String {
        Issue::numbered(n).id.to_string()
    }

    fn page_size(&self, size: usize) {
        self.set_max_results(size);
    }

    fn lists(&self) -> usize {
        self.searches().len()
    }

    fn touch_while_paging(&self) {
        let mut touched = 0;
        self.edit_while_paging(move |_, issues| {
            for issue in issues.iter_mut().skip(touched * 3).take(3) {
                issue.updated_ms = Issue::numbered(1_000 + touched as u64).updated_ms;
            }
            touched += 1;
        });
    }

    fn act(&self, act: &Act) {
        self.world().act(act);
    }

    fn act_while_paging(&self, acts: Vec<Vec<Act>>) {
        self.world().act_while_paging(acts);
    }

    fn calm(&self) {
        self.world().calm();
    }

    fn truth(&self) -> Vec<Truth> {
        self.world().truth()
    }

    fn fault(&self, list: usize, fault: Fault) {
        self.set_fault(list, fault);
    }

    fn fault_next(&self, fault: Fault) {
        self.set_next_fault(fault);
    }

    fn touch(&self, n: u64) {
        self.edit(|issues| {
            let latest = issues.iter().map(|issue| issue.updated_ms).max().expect("an issue");
            let issue = issues.iter_mut().find(|issue| issue.id == Issue::numbered(n).id).expect("it is there");
            issue.summary = format!("touched {n}");
            issue.updated_ms = latest + 60_000;
        });
    }

    fn remove(&self, n: u64) {
        self.edit(|issues| issues.retain(|issue| issue.id != Issue::numbered(n).id));
    }

    fn refused(&self) -> (Change, &'static str) {
        // From "To Do" the workflow leads to "In Progress" alone.
        (Change { status: Some(Status::Resolved), ..Change::default() }, "In Progress (processing)")
    }
}
