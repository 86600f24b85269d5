//! Both sides of a history, and what has to hold at its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use deskhand::base::{Clock, PageRequest, TenantId, Vault};
use deskhand::db::Db;
use deskhand::on;
use deskhand::work_orders::adapters::{Adapter, Connection, find};
use deskhand::work_orders::model::{
    Content, Draft, Edits, Field, Priority, SecretChange, Sort, Status, System, WorkOrder, end_of_day,
};
use deskhand::work_orders::{Filter, WorkOrders};
use deskhand_jobs::outcome::Outcome;
use deskhand_jobs::{JobId, Run};
use tokio::sync::Notify;

use super::step::{Case, Here, Step};
use crate::fakes::deeds::{Act, Deed, Truth, day, labels};
use crate::fakes::desk::Desk;
use crate::fixtures::desk::run;
use crate::fixtures::outbound::http_with;
use crate::fixtures::{TestDb, by};

/// How many attempts a job of an undisturbed synchronisation may take at the most.
const CALM_ATTEMPTS: usize = 3;

pub(super) struct Harness {
    desk: Box<dyn Desk>,
    adapter: &'static dyn Adapter,
    connection: Connection,
    db: Db,
    service: WorkOrders,
    system: System,
    clock: Clock,
    crashed: Arc<Notify>,
    /// Tickets that were removed since the last look for those that are gone.
    removed: usize,
}

impl Harness {
    pub(super) async fn new(fresh: &TestDb, desk: Box<dyn Desk>, case: &Case) -> Self {
        desk.page_size(case.page_size);
        let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(i64::from(case.day)));
        let db = fresh.db.clone().with_clock(clock.clone());
        let service = WorkOrders::new(db.clone(), Vault::from_key(&[7; 32]), http_with(&[], &clock));
        let connection = desk.connection();
        let kind = connection.name.split_whitespace().last().expect("fakes are called after their adapter");
        let draft = Draft {
            name: Some(connection.name.clone()),
            system_type: Some(kind.to_owned()),
            api_url: Some(connection.api_url.to_string()),
            username: connection.username.clone(),
            api_key: connection.api_key.clone().map_or(SecretChange::Keep, SecretChange::Set),
            settings: connection.settings.clone(),
            ..Draft::default()
        };
        let system = service.create_system(&by(&TenantId::default()), &draft).await.expect("makes");
        let adapter = find(kind).expect("the rack has it");
        let crashed = Arc::new(Notify::new());
        Self { desk, adapter, connection, db, service, system, clock, crashed, removed: 0 }
    }

    pub(super) async fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::There(act) => {
                if self.may(act) {
                    self.desk.act(act);
                }
            }
            Step::Meanwhile(acts) => {
                let allowed = |acts: &Vec<Act>| acts.iter().filter(|act| self.may(act)).cloned().collect();
                let acts: Vec<Vec<Act>> = acts.iter().map(allowed).collect();
                self.removed += acts.iter().flatten().filter(|act| matches!(act.deed, Deed::Remove)).count();
                self.desk.act_while_paging(acts);
            }
            Step::Wrong(list, wrong) => self.desk.fault(self.desk.lists() + list, wrong.fault(&self.crashed)),
            Step::Sync { attempts, between } => Box::pin(self.sync(*attempts, between.as_ref())).await,
            Step::Reconcile => {
                let job = run(JobId::new());
                // What it came to is seen at the end.
                let _ = survive(&self.crashed, Box::pin(self.service.reconcile_system(self.system.id, &job))).await;
            }
            Step::Here(n, here) => self.change(*n, *here).await,
            Step::Push(n, wrong) => {
                let fault = wrong.map(|wrong| wrong.fault(&self.crashed));
                if let Some(fault) = fault.filter(crate::fakes::fault::Fault::fits_any_request) {
                    self.desk.fault_next(fault);
                }
                Box::pin(self.push(*n)).await;
            }
            Step::Later(time) => self.clock.advance(*time),
        }
        if let Step::There(Act { deed: Deed::Remove, .. }) = step {
            self.removed += 1;
        }
        Ok(())
    }

    /// Says whether it may happen: when more than a fifth is gone, nobody believes it.
    fn may(&self, act: &Act) -> bool {
        let living = self.desk.truth().iter().filter(|truth| !truth.is_gone).count();
        !matches!(act.deed, Deed::Remove) || (self.removed + 5) * 5 < living
    }

    /// Runs a job until its attempts are used up or it ends.
    async fn sync(&mut self, attempts: usize, between: Option<&Act>) {
        let mut job = run(JobId::new());
        for attempt in 1..=attempts {
            if let Some(act) = between.filter(|act| attempt > 1 && self.may(act)) {
                self.removed += usize::from(matches!(act.deed, Deed::Remove));
                self.desk.act(act);
            }
            job.attempt = u32::try_from(attempt).expect("few");
            match survive(&self.crashed, Box::pin(self.service.sync_system(self.system.id, &job))).await {
                Some(Ok(Outcome::Snooze(wait))) => self.clock.advance(wait),
                Some(Err(_)) | None => {}
                Some(Ok(_)) => return,
            }
        }
    }

    async fn orders(&self) -> Vec<WorkOrder> {
        let mut all = Vec::new();
        for deleted in [false, true] {
            let filter = Filter { deleted, ..Filter::default() };
            let page = PageRequest::new(None, Some(200)).expect("in range");
            let tenant = TenantId::default();
            let found = self.service.work_orders(&tenant, &filter, Sort::Created, page).await.expect("reads");
            assert!(found.total <= 200, "more than this test reads");
            all.extend(found.items);
        }
        all
    }

    async fn some(&self, n: u64) -> Option<WorkOrder> {
        let mut orders = self.orders().await;
        orders.sort_by(|one, other| one.content.external_id.cmp(&other.content.external_id));
        let count = orders.len().max(1);
        orders.into_iter().nth(n as usize % count)
    }

    async fn change(&self, n: u64, here: Here) {
        let Some(order) = self.some(n).await else { return };
        let due = |number| end_of_day(&day(number));
        let edits = match here {
            Here::Title(word) => Edits { title: Some(format!("title {word}")), ..Edits::default() },
            Here::Status(word) => Edits { status: Some(Status::ALL[usize::from(word) % 5]), ..Edits::default() },
            Here::Priority(word) => Edits { priority: Some(Priority::ALL[usize::from(word) % 4]), ..Edits::default() },
            Here::Due(number) => Edits { due_date: Some(number.and_then(due)), ..Edits::default() },
            Here::Label(count) => Edits { tags: Some(labels(count)), ..Edits::default() },
        };
        // A ticket that is gone cannot be changed.
        let _ = self.service.update_work_order(&by(&TenantId::default()), order.id, &edits, None).await;
    }

    async fn push(&self, n: u64) {
        let Some(order) = self.some(n).await else { return };
        let actor = by(&TenantId::default());
        let asked = self.service.update_external(&actor, order.id, &Edits::default(), None).await;
        // There may be nothing to take there.
        let Ok(asked) = asked else { return };
        for attempt in 1..=2 {
            let job = Run { attempt, ..run(asked.job_id) };
            match survive(&self.crashed, Box::pin(self.service.carry_out_update(order.id, &job))).await {
                Some(Ok(Outcome::Snooze(wait))) => self.clock.advance(wait),
                Some(Err(_)) | None => {}
                Some(Ok(_)) => break,
            }
        }
        let mut tx = self.db.begin().await.expect("begins");
        let sql = "UPDATE jobs SET state = 'succeeded' WHERE kind = 'work_orders.update_external'";
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("updates");
        tx.commit().await.expect("commits");
    }

    /// Lets nothing go wrong any more, and proves that both sides come to say the same.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        self.desk.calm();
        // Whatever was asked to wait has waited, and whatever rested is tried again.
        self.clock.advance(Duration::from_hours(48));
        self.calm_sync().await?;
        self.same("after a synchronisation", false).await?;
        self.reconcile().await?;
        self.same("after a look for what is gone", true).await?;
        for n in 0..self.desk.truth().len() as u64 {
            self.desk.act(&Act { n, deed: Deed::Mend, after_s: 0 });
        }
        self.clock.advance(Duration::from_hours(48));
        self.calm_sync().await?;
        self.reconcile().await?;
        self.same("after all is mended", true).await?;
        let before = self.orders().await;
        self.calm_sync().await?;
        if self.orders().await == before { Ok(()) } else { Err("what did not change was written again".to_owned()) }
    }

    async fn calm_sync(&self) -> Result<(), String> {
        let job = run(JobId::new());
        for _ in 0..CALM_ATTEMPTS {
            match self.service.sync_system(self.system.id, &job).await {
                Ok(Outcome::Done) => return Ok(()),
                Ok(Outcome::Snooze(_)) => {}
                other => return Err(format!("an undisturbed synchronisation came to {other:?}")),
            }
        }
        Err("an undisturbed synchronisation did not come to its end".to_owned())
    }

    async fn reconcile(&self) -> Result<(), String> {
        match self.service.reconcile_system(self.system.id, &run(JobId::new())).await {
            Ok(Outcome::Done) => Ok(()),
            other => Err(format!("an undisturbed look for what is gone came to {other:?}")),
        }
    }

    /// Compares every ticket; `gone` says whether those that are gone have to be known to be.
    async fn same(&self, when: &str, gone: bool) -> Result<(), String> {
        let mut orders: BTreeMap<String, WorkOrder> =
            self.orders().await.into_iter().map(|order| (order.content.external_id.clone(), order)).collect();
        for truth in self.desk.truth() {
            let order = orders.remove(&truth.id);
            if truth.is_gone {
                let known = order.as_ref().is_none_or(|order| order.deleted_at.is_some());
                if !known && (gone || self.desk.tells_deletions()) {
                    return Err(format!("{when} {} is there still", truth.id));
                }
                continue;
            }
            if truth.is_spoilt {
                continue;
            }
            let Some(order) = order else { return Err(format!("{when} {} is missing", truth.id)) };
            if order.deleted_at.is_some() {
                return Err(format!("{when} {} is held to be gone", truth.id));
            }
            self.equal(&order, &truth).await.map_err(|fault| format!("{when} {}: {fault}", truth.id))?;
        }
        if orders.is_empty() { Ok(()) } else { Err(format!("{when} there is more than there: {orders:?}")) }
    }

    /// Compares a ticket with what its system shows, field by field; what was changed here waits beside the system's word.
    async fn equal(&self, order: &WorkOrder, truth: &Truth) -> Result<(), String> {
        let detail = self.adapter.detail(&self.connection, &truth.id).await;
        let remote = detail.map_err(|error| error.to_string())?.ok_or("its system does not show it")?;
        let told = Truth {
            id: remote.external_id.clone(),
            title: remote.title.clone(),
            text: remote.description.clone(),
            status: remote.status.clone(),
            priority: remote.priority.clone(),
            assignee: remote.assignee.clone(),
            due: remote.due_date.map(|due| due.date_naive().to_string()),
            labels: truth.labels.as_ref().map(|_| remote.tags.clone()),
            ..truth.clone()
        };
        if told != *truth {
            return Err(format!("the system shows {told:?}, it is {truth:?}"));
        }
        let mut expected = Content::of(remote, &self.system.mapping);
        for &field in Field::ALL {
            let Some(pending) = order.exchange.pending.get(&field) else { continue };
            if pending.base != field.of(&expected) {
                return Err(format!("{field} waits beside {}, there it is {}", pending.base, field.of(&expected)));
            }
            field.copy(&order.content, &mut expected);
        }
        let here = Content { reported_at: expected.reported_at, ..order.content.clone() };
        if here == expected { Ok(()) } else { Err(format!("here it is {here:?}, there {expected:?}")) }
    }
}

/// Lets a job run, unless its process ends in the middle.
async fn survive<T>(crashed: &Notify, job: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        result = job => Some(result),
        () = crashed.notified() => None,
    }
}
