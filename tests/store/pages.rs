//! Pages of lists that are too long to be counted.

use deskhand::base::{PageRequest, TenantId};
use deskhand::db::Text;
use deskhand::dispatch::ledger::{self, COUNTED, Filter};
use deskhand::dispatch::remote::{behind, shown};
use deskhand::dispatch::{Entry, LedgerState};
use deskhand::on;
use deskhand_jobs::{JobId, Kind, QueueName};

use super::relay::enqueue;
use crate::fixtures::databases::on_both;
use crate::fixtures::jobs::mail;

#[tokio::test]
async fn a_long_list_is_counted_to_a_bound_and_its_pages_go_on() {
    on_both(async |fresh| {
        let db = &fresh.db;
        enqueue(db, &[mail("x")]).await;
        let mut tx = db.begin().await.expect("begins");
        let more = COUNTED as i64 + 20;
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1) \
                   INSERT INTO jobs (id, tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at) \
                   SELECT '00000000-0000-7000-8000-' || substr('000000000000', 1, 12 - length(CAST(n AS TEXT))) || CAST(n AS TEXT), \
                   tenant_id, kind, queue, priority, args, options, headers, run_at, state, created_at FROM jobs, n";
        on!(tx, |c| sqlx::query(sql).bind(more).execute(c).await.map(|_| ())).expect("copies the job");
        tx.commit().await.expect("commits");

        let mut tx = db.read().await.expect("begins");
        let tenant = TenantId::default();
        let all = ledger::walk(&mut tx, &tenant, &Filter::default(), None, 2_000).await.expect("walks");
        let all: Vec<JobId> = all.into_iter().map(|entry| entry.id).collect();
        for (page, items, next) in [(1, 200, Some(2)), (6, 21, None), (9, 0, None)] {
            let request = PageRequest::new(Some(page), Some(200)).expect("in range");
            let list = ledger::list(&mut tx, &tenant, &Filter::default(), request).await.expect("lists");
            let ids: Vec<JobId> = list.items.iter().map(|entry| entry.id).collect();
            let expected: Vec<JobId> = all.iter().copied().skip((page as usize - 1) * 200).take(200).collect();
            assert_eq!(ids, expected, "page {page}");
            assert_eq!((list.total, list.more, list.items.len(), list.next), (COUNTED, true, items, next), "page {page}");
        }
        let none = Filter { state: Some(LedgerState::Dead), ..Filter::default() };
        let short = ledger::list(&mut tx, &tenant, &none, PageRequest::default()).await.expect("lists");
        assert_eq!((short.total, short.more, short.next), (0, false, None));
    })
    .await;
}

#[tokio::test]
async fn any_conditions_together_find_what_they_find_one_after_the_other() {
    on_both(async |fresh| {
        let db = &fresh.db;
        let remote: QueueName = "images".parse().expect("a name");
        let behind = behind(&TenantId::default(), &remote).expect("short");
        let mut jobs = Vec::new();
        for n in 0..24 {
            let mut job = mail("x");
            job.kind = Kind::new(if n % 6 == 0 { "mail.rare" } else { "mail.send" }).expect("valid");
            job.options.queue = match n % 5 {
                0 => "mail".parse().expect("a name"),
                1 => behind.clone(),
                2 => remote.clone(),
                _ => "default".parse().expect("a name"),
            };
            jobs.push(job);
        }
        enqueue(db, &jobs).await;
        let mut tx = db.begin().await.expect("begins");
        for job in jobs.iter().step_by(4) {
            let sql = "UPDATE jobs SET state = 'dead' WHERE id = $1";
            on!(tx, |c| sqlx::query(sql).bind(Text(job.id)).execute(c).await.map(|_| ())).expect("ends");
        }
        tx.commit().await.expect("commits");

        let mut tx = db.read().await.expect("begins");
        let tenant = TenantId::default();
        let all = ledger::list(&mut tx, &tenant, &Filter::default(), PageRequest::default()).await.expect("lists");
        assert_eq!(all.total, 24);
        let mut everything = all.items;
        let second = PageRequest::new(Some(2), None).expect("in range");
        everything.extend(ledger::list(&mut tx, &tenant, &Filter::default(), second).await.expect("lists").items);
        for state in [None, Some(LedgerState::Dead), Some(LedgerState::Pending), Some(LedgerState::Succeeded)] {
            for kind in [None, Some("mail.rare"), Some("mail.send"), Some("mail.none")] {
                for queue in [None, Some("mail"), Some("images"), Some("default"), Some("none")] {
                    let kind = kind.map(|kind| Kind::new(kind).expect("valid"));
                    let queue: Option<QueueName> = queue.map(|queue| queue.parse().expect("a name"));
                    let fits = |entry: &&Entry| {
                        state.is_none_or(|state| entry.state == state)
                            && kind.as_ref().is_none_or(|kind| entry.kind == *kind)
                            && queue.as_ref().is_none_or(|queue| shown(&entry.options.queue) == *queue)
                    };
                    let expected: Vec<_> = everything.iter().filter(fits).map(|entry| entry.id).collect();
                    let filter = Filter { state, kind: kind.clone(), queue: queue.clone(), ..Filter::default() };
                    let whole = PageRequest::new(None, Some(200)).expect("in range");
                    let found = ledger::list(&mut tx, &tenant, &filter, whole).await.expect("lists");
                    assert_eq!(found.items.iter().map(|entry| entry.id).collect::<Vec<_>>(), expected, "{filter:?}");
                    assert_eq!(found.total, expected.len() as u64, "{filter:?}");
                }
            }
        }
    })
    .await;
}
