//! Remote queues and remote workers as the database knows them.

use chrono::{DateTime, Utc};
use deskhand_jobs::queue::WorkerInfo;
use deskhand_jobs::{QueueName, WorkerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::behind;
use crate::base::TenantId;

/// What jobs of a remote queue have unless they say otherwise. What is left out is as the engine has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteDefaults {
    /// The longest time that an attempt may take, in milliseconds.
    #[schema(minimum = 1000)]
    pub timeout_ms: Option<u64>,
    /// The failures after which a job is dead.
    #[schema(minimum = 1)]
    pub max_attempts: Option<u32>,
}

/// A queue whose jobs are run by programs that work over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteQueue {
    /// Its name within the tenant.
    pub name: QueueName,
    /// What its jobs have unless they say otherwise.
    pub defaults: RemoteDefaults,
    /// When it was declared.
    pub created_at: DateTime<Utc>,
    /// When it was last declared otherwise.
    pub updated_at: DateTime<Utc>,
}

/// A program that works over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteWorker {
    /// Its tenant.
    pub(super) tenant: TenantId,
    /// One life of it.
    pub(super) id: WorkerId,
    /// Who registered it: nobody else may speak for it.
    pub(super) owner: String,
    /// Its name, for people.
    pub(super) name: String,
    /// Its queues as the tenant knows them, the first first.
    pub(super) queues: Vec<QueueName>,
    /// How many jobs it runs at once.
    pub(super) concurrency: usize,
    /// When it registered.
    pub(super) started_at: DateTime<Utc>,
    /// Its last beat, to the minute.
    pub(super) seen_at: DateTime<Utc>,
    /// When a job of it may first be overdue.
    pub(super) check_at: Option<DateTime<Utc>>,
}

impl RemoteWorker {
    /// Returns it as the queue knows it.
    pub(super) fn info(&self) -> WorkerInfo {
        WorkerInfo {
            id: self.id,
            name: self.name.clone(),
            queues: self.queues_behind(),
            concurrency: self.concurrency,
            started_at_ms: self.started_at.timestamp_millis(),
        }
    }

    /// Returns its queues as the engine knows them.
    pub(super) fn queues_behind(&self) -> Vec<QueueName> {
        self.queues.iter().filter_map(|name| behind(&self.tenant, name)).collect()
    }

    /// Says whether its last beat is worth noting: once a minute, not each.
    pub(super) fn is_sight_stale(&self, now: DateTime<Utc>) -> bool {
        now - self.seen_at >= chrono::TimeDelta::minutes(1)
    }
}
