//! Asking once more for tickets that could not be taken, one by one.

use deskhand_jobs::Run;
use deskhand_jobs::outcome::chain;

use super::WorkOrders;
use super::intake::{Fresh, take};
use super::run::{Reached, Stop, keep};
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::work_orders::adapters::{self, Adapter, Connection};
use crate::work_orders::model::{Failure, Remote, RowError, SyncLog, System, SystemId};
use crate::work_orders::store::failures;

/// The most that one run asks for: the rest follows with the next.
const MOST: i64 = 200;

impl WorkOrders {
    /// Asks for the tickets whose turn it is. What can be taken by now, or is gone, is forgotten; the rest waits longer.
    pub(super) async fn retry(
        &self,
        system: &System,
        log: &mut SyncLog,
        run: &Run,
        (adapter, connection): (&dyn Adapter, &Connection),
    ) -> Result<Reached, Stop> {
        let due = failures::due(&mut self.db.read().await?, system, MOST).await?;
        for failure in due {
            if run.cancelled.is_cancelled() {
                return Ok(Reached::Break);
            }
            match adapter.detail(connection, &failure.external_id).await {
                Ok(found) => self.retried(system, log, &failure, found).await?,
                // That is a matter of the system, and not of this ticket.
                Err(
                    error @ (adapters::Error::Auth { .. }
                    | adapters::Error::RateLimited { .. }
                    | adapters::Error::Resting { .. }),
                ) => return Err(error.into()),
                Err(error) => self.still_fails(system, log, &failure, chain(&error)).await?,
            }
        }
        Ok(Reached::End)
    }

    async fn retried(
        &self,
        system: &System,
        log: &mut SyncLog,
        failure: &Failure,
        found: Option<Remote>,
    ) -> Result<()> {
        let fresh = match found.map(|remote| Fresh::of(remote, system)).transpose() {
            Ok(fresh) => fresh,
            Err(error) => return self.still_fails(system, log, failure, error.message).await,
        };
        let mut next = log.clone();
        let mut tx = self.db.begin().await?;
        failures::settle(&mut tx, system, &[&failure.external_id]).await?;
        if let Some(fresh) = fresh {
            let id = fresh.content.external_id.clone();
            take(&mut tx, system, vec![fresh], &mut next.counts).await?;
            // A key that names it by now under its id.
            failures::settle(&mut tx, system, &[&id]).await?;
        }
        keep(&mut tx, &mut next).await?;
        tx.commit().await?;
        *log = next;
        Ok(())
    }

    async fn still_fails(&self, system: &System, log: &mut SyncLog, failure: &Failure, reason: String) -> Result<()> {
        let mut next = log.clone();
        let mut tx = self.db.begin().await?;
        failures::note_again(&mut tx, system, failure, &reason).await?;
        next.note_row_error(RowError::of(failure.external_id.clone(), reason));
        keep(&mut tx, &mut next).await?;
        tx.commit().await?;
        *log = next;
        Ok(())
    }

    /// Reads the tickets of a system that could not be taken, the latest first.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::base::Error::NotFound).
    pub async fn failed_tickets(&self, tenant: &TenantId, id: SystemId, page: PageRequest) -> Result<Paged<Failure>> {
        let mut tx = self.db.read().await?;
        let system = super::context::load(&mut tx, tenant, id).await?;
        failures::list(&mut tx, &system, page).await
    }
}
