//! Storing a page.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::WorkOrders;
use super::intake::{Fresh, take};
use super::run::keep;
use crate::base::Result;
use crate::db::Tx;
use crate::work_orders::adapters::{Deleted, Page};
use crate::work_orders::model::{Remote, RowError, SyncLog, System};
use crate::work_orders::store::{failures, orders, systems};

/// As many new tickets make a difference to whoever looks for one.
const SURVEYED_FROM: i64 = 100;

/// A page, cleaned and mapped before anybody holds the database.
#[derive(Default)]
struct Sifted {
    /// What came, in its order, and when it changed.
    rows: Vec<(String, Option<DateTime<Utc>>)>,
    /// What has to be looked at, each ticket once.
    fresh: Vec<Fresh>,
    /// What cannot be taken.
    failed: Vec<RowError>,
    /// Words that no rule knew.
    unmapped: i64,
}

impl WorkOrders {
    /// Stores a page and how far it reaches, at once or not at all.
    pub(super) async fn store(&self, system: &System, log: &mut SyncLog, page: Page) -> Result<()> {
        let mut next = log.clone();
        let is_last = page.next.is_none();
        let mut sifted = sift(page.tickets, system, log);
        next.counts.unmapped += sifted.unmapped;
        let mut tx = self.db.begin().await?;
        // First, so that how far the page reaches is read off its tickets, if it has any.
        let mut rows = bury(&mut tx, system, page.deleted, &mut next).await?;
        rows.append(&mut sifted.rows);
        for error in sifted.failed {
            failures::note(&mut tx, system, &error).await?;
            next.note_row_error(error);
        }
        let ids: Vec<&str> = sifted.fresh.iter().map(|fresh| fresh.content.external_id.as_str()).collect();
        failures::settle(&mut tx, system, &ids).await?;
        take(&mut tx, system, sifted.fresh, &mut next.counts).await?;
        next.position.advance(&rows, is_last);
        next.note_page();
        keep(&mut tx, &mut next).await?;
        // Before a part there may be a gap that another one has not filled yet.
        systems::advance(&mut tx, system, next.position.mark.filter(|_| log.part.is_none())).await?;
        tx.commit().await?;
        let before = std::mem::replace(log, next);
        if has_grown(before.counts.created, log.counts.created) {
            let mut tx = self.db.begin().await?;
            orders::survey(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Says whether a run has just brought so many new tickets that what a database knows of them is out of date: a hundred, a thousand, ten
/// thousand and so on.
fn has_grown(before: i64, now: i64) -> bool {
    now >= SURVEYED_FROM && before.max(1).ilog10() < now.ilog10()
}

/// Takes note of tickets that the system says are deleted.
async fn bury(
    tx: &mut Tx,
    system: &System,
    deleted: Vec<Deleted>,
    log: &mut SyncLog,
) -> Result<Vec<(String, Option<DateTime<Utc>>)>> {
    let mut rows = Vec::with_capacity(deleted.len());
    for gone in deleted {
        log.counts.deleted += i64::from(orders::bury(tx, system, &gone.external_id).await?);
        rows.push((gone.external_id, gone.at));
    }
    let ids: Vec<&str> = rows.iter().map(|(id, _)| id.as_str()).collect();
    failures::settle(tx, system, &ids).await?;
    Ok(rows)
}

/// Leaves out what this run has had, and of a ticket that comes twice all but the last.
fn sift(tickets: Vec<std::result::Result<Remote, RowError>>, system: &System, log: &SyncLog) -> Sifted {
    let mut sifted = Sifted::default();
    let had: HashSet<(&str, DateTime<Utc>)> = log.position.seen.iter().map(|(id, at)| (id.as_str(), *at)).collect();
    for ticket in tickets {
        let remote = match ticket {
            Ok(remote) => remote,
            Err(error) => {
                sifted.failed.push(error);
                continue;
            }
        };
        sifted.rows.push((remote.external_id.clone(), remote.updated_at));
        if remote.updated_at.is_some_and(|at| had.contains(&(remote.external_id.as_str(), at))) {
            continue;
        }
        let unmapped = system.mapping.unknown_words(&remote);
        match Fresh::of(remote, system) {
            Ok(fresh) => {
                sifted.unmapped += unmapped;
                sifted.fresh.push(fresh);
            }
            Err(error) => sifted.failed.push(error),
        }
    }
    let mut names = HashSet::new();
    let is_last: Vec<bool> =
        sifted.fresh.iter().rev().map(|fresh| names.insert(fresh.content.external_id.clone())).collect();
    let mut is_last = is_last.into_iter().rev();
    sifted.fresh.retain(|_| is_last.next().unwrap_or(true));
    sifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_grown_at_each_power_of_ten() {
        for (before, now, grown) in [
            (0, 0, false),
            (0, 99, false),
            (0, 100, true),
            (99, 100, true),
            (100, 199, false),
            (900, 999, false),
            (950, 1_050, true),
            (1_000, 9_999, false),
            (99, 100_000, true),
        ] {
            assert_eq!(has_grown(before, now), grown, "{before} to {now}");
        }
    }
}
