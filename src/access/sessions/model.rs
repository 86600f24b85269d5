//! A session, and who comes with it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::access::roles::Effective;
use crate::access::users::User;
use crate::base::clock::later;
use crate::base::{TenantId, UserId};

crate::id!(
    /// Identifies one session, not its secret.
    SessionId, "session"
);

/// One browser in which a person signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Where it acts unless a request says otherwise.
    pub tenant_id: TenantId,
    /// Whose it is.
    pub user_id: UserId,
    /// From where it was begun.
    pub address: Option<String>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// When it ends in any case.
    pub expires_at: DateTime<Utc>,
}

/// Who comes with a session, and where it may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The session.
    pub session: SessionId,
    /// The person.
    pub user: User,
    /// The tenant in which it acts now.
    pub tenant: TenantId,
    /// What it may do there.
    pub effective: Effective,
}

impl Session {
    /// Says whether the session has ended, by age or by lying idle.
    pub(super) fn is_over(&self, now: DateTime<Utc>, idle: Duration) -> bool {
        self.expires_at <= now || later(self.last_used_at, idle) <= now
    }

    /// Says whether its last use is worth noting: once a minute.
    pub(super) fn is_use_stale(&self, now: DateTime<Utc>) -> bool {
        now - self.last_used_at >= chrono::TimeDelta::minutes(1)
    }
}

/// Chooses the tenant in which a person acts: the one that is asked for, else the usual one, else any; `None` if it is not a member.
pub(super) fn choose(wanted: Option<&TenantId>, usual: &TenantId, memberships: &[TenantId]) -> Option<TenantId> {
    match wanted {
        Some(wanted) => memberships.contains(wanted).then(|| wanted.clone()),
        None => memberships.iter().find(|tenant| *tenant == usual).or_else(|| memberships.first()).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_session_ends_by_age_and_by_lying_idle() {
        let start = DateTime::UNIX_EPOCH;
        let session = Session {
            id: SessionId::new(),
            tenant_id: TenantId::default(),
            user_id: UserId::new(),
            address: None,
            user_agent: None,
            created_at: start,
            last_used_at: start + TimeDelta::hours(1),
            expires_at: start + TimeDelta::hours(10),
        };
        for (hours, idle_h, over) in [(2, 8, false), (8, 8, false), (9, 8, true), (9, 20, false), (10, 20, true)] {
            let now = start + TimeDelta::hours(hours);
            assert_eq!(session.is_over(now, Duration::from_hours(idle_h)), over, "{hours} {idle_h}");
        }
        assert!(!session.is_use_stale(session.last_used_at + TimeDelta::seconds(59)));
        assert!(session.is_use_stale(session.last_used_at + TimeDelta::seconds(60)));
    }

    #[test]
    fn a_person_acts_where_it_is_a_member() {
        let tenant = |id: &str| TenantId::new(id).expect("valid");
        let (acme, zen, other) = (tenant("acme"), tenant("zen"), tenant("other"));
        let both = [acme.clone(), zen.clone()];
        for (wanted, usual, memberships, expected) in [
            (None, &zen, &both[..], Some(&zen)),
            (None, &other, &both[..], Some(&acme)),
            (Some(&acme), &zen, &both[..], Some(&acme)),
            (Some(&other), &zen, &both[..], None),
            (None, &zen, &[], None),
        ] {
            assert_eq!(choose(wanted, usual, memberships).as_ref(), expected, "{wanted:?} {usual}");
        }
    }
}
