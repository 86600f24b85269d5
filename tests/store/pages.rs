//! Pages of lists that are too long to be counted.

use deskhand::base::{PageRequest, TenantId};
use deskhand::db::COUNTED;
use deskhand::dispatch::LedgerState;
use deskhand::dispatch::ledger::{self, Filter};
use deskhand::on;

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
        for (page, items, next) in [(1, 200, Some(2)), (51, 21, None), (60, 0, None)] {
            let request = PageRequest::new(Some(page), Some(200)).expect("in range");
            let list = ledger::list(&mut tx, &tenant, &Filter::default(), request).await.expect("lists");
            assert_eq!((list.total, list.more, list.items.len(), list.next), (COUNTED, true, items, next), "page {page}");
        }
        let none = Filter { state: Some(LedgerState::Dead), ..Filter::default() };
        let short = ledger::list(&mut tx, &tenant, &none, PageRequest::default()).await.expect("lists");
        assert_eq!((short.total, short.more, short.next), (0, false, None));
    })
    .await;
}
