//! Groups of jobs that share limits, as a tenant sees them. The queue knows no tenants, so its keys begin with the tenant's name.

use deskhand_jobs::queue::GroupInfo;
use deskhand_jobs::{Group, GroupKey, Invalid, Limits, QueueName};

use super::Service;
use crate::audit::{self, Event};
use crate::base::{Actor, Error, Result, TenantId};

impl Service {
    /// Lists up to `limit` groups of the tenant in a queue, by key, behind the one that `after` names.
    ///
    /// # Errors
    /// [`Error`] of the queue.
    pub async fn groups(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        after: Option<&GroupKey>,
        limit: usize,
    ) -> Result<Vec<GroupInfo>> {
        let before_all = format!("{tenant}:");
        let from = match after {
            Some(after) => in_queue(tenant, after),
            None => GroupKey::new(before_all),
        };
        let from = from.map_err(|error| Error::field("/cursor", error.to_string()))?;
        let groups = self.queue.groups(queue, Some(&from), limit).await?;
        // By key: behind the tenant's own come those of others.
        Ok(groups.into_iter().map_while(|group| as_seen(tenant, group)).collect())
    }

    /// Fixes the limits of a group, whatever limits its jobs bring, or takes that back; returns the group as it is then, if there is
    /// anything left of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for numbers that make no limit, else [`Error`] of the queue.
    pub async fn limit_group(
        &self,
        actor: &Actor,
        queue: &QueueName,
        key: &GroupKey,
        limits: Option<Limits>,
    ) -> Result<Option<GroupInfo>> {
        let tenant = &actor.tenant;
        let named = check_key(tenant, key)?;
        if let Some(limits) = &limits {
            check_limits(limits, "")?;
        }
        let event = Event::new("group.limit", "group", &format!("{queue}/{key}")).after(&limits);
        let change = async { Ok::<_, Error>(self.queue.limit_group(queue, &named, limits).await?) };
        audit::service::around(&self.db, actor, event, change).await?;
        let group = self.queue.group(queue, &named).await?;
        Ok(group.and_then(|group| as_seen(tenant, group)))
    }
}

/// Returns the key that the queue knows.
pub(super) fn in_queue(tenant: &TenantId, key: &GroupKey) -> std::result::Result<GroupKey, Invalid> {
    GroupKey::new(format!("{tenant}:{key}"))
}

/// Returns a group under the key that the tenant knows; `None` if it is another's.
pub(super) fn as_seen(tenant: &TenantId, mut group: GroupInfo) -> Option<GroupInfo> {
    let key = group.key.as_str().strip_prefix(&tenant.to_string())?.strip_prefix(':')?;
    group.key = GroupKey::new(key).ok()?;
    Some(group)
}

/// Refuses a group that the queue would not take.
pub(super) fn check(tenant: &TenantId, group: &Group) -> Result<()> {
    check_key(tenant, &group.key)?;
    check_limits(&group.limits, "/group/limits")
}

fn check_key(tenant: &TenantId, key: &GroupKey) -> Result<GroupKey> {
    in_queue(tenant, key).map_err(|_| {
        let most = 127 - tenant.to_string().len().min(126);
        Error::field("/group/key", format!("the key of a group of {tenant} has at most {most} bytes"))
    })
}

fn check_limits(limits: &Limits, at: &str) -> Result<()> {
    limits.check().map_err(|error| Error::field(at, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(key: &str) -> GroupInfo {
        GroupInfo {
            key: GroupKey::new(key).expect("valid"),
            limits: Limits::default(),
            pinned: false,
            running: 0,
            waiting: 0,
            next_token_at_ms: None,
        }
    }

    #[test]
    fn a_tenant_sees_its_own_groups_under_its_own_keys() {
        let tenant: TenantId = "acme".parse().expect("valid");
        let key = GroupKey::new("site:7").expect("valid");
        let there = in_queue(&tenant, &key).expect("short");
        assert_eq!(as_seen(&tenant, group(there.as_str())).map(|group| group.key), Some(key));
        for other in ["acme2:site:7", "acme", "other:acme:x"] {
            assert!(as_seen(&tenant, group(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn what_the_queue_would_not_take_is_refused_with_the_place() {
        let tenant: TenantId = "acme".parse().expect("valid");
        let long = Group::new(GroupKey::new("x".repeat(124)).expect("valid"));
        assert!(check(&tenant, &long).expect_err("too long").to_string().contains("at most 123 bytes"));
        let none = Group::new(GroupKey::new("x".repeat(123)).expect("valid")).concurrency(0);
        assert!(check(&tenant, &none).expect_err("none may run").to_string().contains("at least 1"));
        assert!(check(&tenant, &Group { limits: Limits::default(), ..none }).is_ok());
    }
}
