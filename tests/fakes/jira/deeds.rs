//! What people do in the fake.

use super::Issue;
use super::edit::PRIORITIES;
use super::issue::{EPOCH_MS, USERS};
use super::server::World;
use crate::fakes::deeds::{Act, Deed, Truth, day, labels};

const STATUSES: [(&str, &str); 4] =
    [("To Do", "new"), ("In Progress", "indeterminate"), ("Done", "done"), ("Closed", "done")];

impl World {
    /// When any issue changed last.
    pub(super) fn latest_ms(&self) -> i64 {
        self.issues.iter().chain(&self.removed).map(|issue| issue.updated_ms).max().unwrap_or(EPOCH_MS)
    }

    /// Somebody does something now; to an issue that is not there nothing can be done but to bring it back.
    pub(super) fn act(&mut self, act: &Act) {
        let at_ms = (self.latest_ms() + act.after_s * 1_000).max(EPOCH_MS);
        let count = (self.issues.len() + self.removed.len()) as u64;
        if matches!(act.deed, Deed::Make) {
            self.issues.push(Issue { updated_ms: at_ms, ..Issue::numbered(count + 1) });
            return;
        }
        let id = Issue::numbered(act.n % count + 1).id;
        let (from, to) = match act.deed {
            Deed::Restore => (&mut self.removed, &mut self.issues),
            _ => (&mut self.issues, &mut self.removed),
        };
        let Some(place) = from.iter().position(|issue| issue.id == id) else { return };
        let issue = &mut from[place];
        if !act.deed.is_silent() {
            issue.updated_ms = issue.updated_ms.max(at_ms);
        }
        match &act.deed {
            Deed::Make => {}
            Deed::Title(word) => issue.summary = format!("title {word}"),
            Deed::Text(word) => issue.description = format!("text {word}"),
            Deed::Status(word) => (issue.status, issue.category) = STATUSES[usize::from(*word) % 4],
            Deed::Priority(word) => issue.priority = PRIORITIES[usize::from(*word) % 4],
            Deed::Give(who) => issue.assignee = who.map(|who| &USERS[usize::from(who) % 3]),
            Deed::Due(due) => issue.due = due.map(day),
            Deed::Label(count) => issue.labels = labels(*count),
            Deed::Spoil => issue.spoilt = true,
            Deed::Mend => issue.spoilt = false,
            Deed::Remove | Deed::Restore => {
                let issue = from.remove(place);
                to.push(issue);
            }
        }
    }

    /// Somebody does this after each of the next searches.
    pub(super) fn act_while_paging(&mut self, acts: Vec<Vec<Act>>) {
        let mut acts = acts.into_iter();
        self.during = Some(Box::new(move |_, world| acts.next().into_iter().flatten().for_each(|act| world.act(&act))));
    }

    /// Nothing goes wrong any more, and nobody does anything.
    pub(super) fn calm(&mut self) {
        (self.during, self.next_fault) = (None, None);
        self.faults.clear();
    }

    /// How every issue stands that there ever was.
    pub(super) fn truth(&self) -> Vec<Truth> {
        let told = |issue: &Issue, is_gone| Truth {
            id: issue.id.to_string(),
            title: issue.summary.clone(),
            text: issue.description.clone(),
            status: issue.status.to_owned(),
            priority: issue.priority.to_owned(),
            assignee: issue.assignee.map(|user| user.name.to_owned()),
            due: issue.due.clone(),
            labels: Some(issue.labels.clone()),
            is_gone,
            is_spoilt: issue.spoilt,
        };
        let there = self.issues.iter().map(|issue| told(issue, false));
        let mut all: Vec<_> = there.chain(self.removed.iter().map(|issue| told(issue, true))).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }
}
