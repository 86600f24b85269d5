//! The queue of the engine behind a remote queue. The engine knows no tenants, so the tenant is in the name: no worker of one can
//! claim a job of another, and limits and pauses are a tenant's own.

use deskhand_jobs::QueueName;

use crate::base::TenantId;

/// In front of every such name. Followed by a number and a dash it belongs to remote queues; other queues may begin with it.
const PREFIX: &str = "remote-";

/// The longest name of a queue of the engine.
const LONGEST: usize = 64;

/// Returns the queue of the engine behind a tenant's remote queue; `None` if the two names together are too long for one.
pub fn behind(tenant: &TenantId, name: &QueueName) -> Option<QueueName> {
    // The length says where the name of the tenant ends: both names may have dashes.
    QueueName::new(format!("{PREFIX}{}-{tenant}-{name}", tenant.as_str().len())).ok()
}

/// Reads whose remote queue is in front of a queue of the engine, and which; `None` if none is.
pub fn in_front(queue: &QueueName) -> Option<(TenantId, QueueName)> {
    let (length, rest) = queue.as_str().strip_prefix(PREFIX)?.split_once('-')?;
    let (tenant, name) = rest.split_at_checked(length.parse().ok()?)?;
    let tenant = TenantId::new(tenant).ok()?;
    let name = QueueName::new(name.strip_prefix('-')?).ok()?;
    // One name has one spelling: no "07" for 7.
    (behind(&tenant, &name).as_ref() == Some(queue)).then_some((tenant, name))
}

/// Says whether a queue may be shown to a tenant: what belongs to nobody, and its own.
pub fn is_open_to(tenant: &TenantId, queue: &QueueName) -> bool {
    in_front(queue).is_none_or(|(owner, _)| owner == *tenant)
}

/// Returns a queue under the name by which its tenant knows it.
pub fn shown(queue: &QueueName) -> QueueName {
    in_front(queue).map_or_else(|| queue.clone(), |(_, name)| name)
}

/// Returns how long the name of a remote queue of a tenant may be.
pub(super) fn longest(tenant: &TenantId) -> usize {
    let length = tenant.as_str().len();
    LONGEST.saturating_sub(PREFIX.len() + length.to_string().len() + 2 + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a valid name")
    }

    #[test]
    fn dashes_confuse_no_two_tenants() {
        let tenant = |name: &str| TenantId::new(name).expect("a valid name");
        let one = behind(&tenant("a-b"), &queue("c")).expect("short");
        let other = behind(&tenant("a"), &queue("b-c")).expect("short");
        assert_eq!((one.as_str(), other.as_str()), ("remote-3-a-b-c", "remote-1-a-b-c"));
        assert!(is_open_to(&tenant("a-b"), &one) && !is_open_to(&tenant("a"), &one));
        assert!(is_open_to(&tenant("a"), &queue("default")));
        assert_eq!((shown(&one), shown(&queue("mail"))), (queue("c"), queue("mail")));
    }

    #[test]
    fn other_queues_are_left_alone() {
        for name in
            ["remote", "remote-", "remote-images", "remote-4-acme", "remote-9-acme-x", "remote-04-acme-x", "x-4-acme-x"]
        {
            assert!(in_front(&queue(name)).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_survive_and_fit_up_to_the_longest(tenant in "[a-z0-9_-]{1,64}", name in "[a-z0-9_-]{1,64}") {
            let (tenant, name) = (TenantId::new(tenant).expect("valid"), queue(&name));
            let behind = behind(&tenant, &name);
            prop_assert_eq!(behind.is_some(), name.as_str().len() <= longest(&tenant));
            if let Some(behind) = behind {
                prop_assert_eq!(in_front(&behind), Some((tenant, name)));
            }
        }
    }
}
