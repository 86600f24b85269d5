//! An external system: its settings, and when it is its turn.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::{Mapping, SystemId};
use crate::base::TenantId;

/// A failing system is tried less and less often, up to so long apart.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// A secret as the database keeps it; only the vault can open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(***)")
    }
}

/// An external system from which work orders come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its id.
    pub id: SystemId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// The id of the adapter that speaks with it.
    pub system_type: String,
    /// Where its API is.
    pub api_url: Url,
    /// Who we are there.
    pub username: Option<String>,
    /// An API token, or a personal access token.
    pub api_key: Option<Sealed>,
    /// A password.
    pub password: Option<Sealed>,
    /// Whether it takes part in the periodic synchronisation.
    pub is_active: bool,
    /// How often it is synchronised, in seconds.
    pub sync_interval: i64,
    /// How many days the first synchronisation reaches back; `None` is everything.
    pub initial_days: Option<i64>,
    /// What its adapter wants to know beside that.
    pub settings: BTreeMap<String, String>,
    /// Its own words for statuses and priorities.
    pub mapping: Mapping,
    /// The latest change seen in its data.
    pub cursor_at: Option<DateTime<Utc>>,
    /// When a run last reached the end.
    pub last_sync_at: Option<DateTime<Utc>>,
    /// When a run was last asked for by the schedule.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// How many runs in a row have failed.
    pub failure_streak: i64,
    /// Until when the system asked us to leave it alone.
    pub blocked_until: Option<DateTime<Utc>>,
    /// Counts the changes of the settings.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings last changed.
    pub updated_at: DateTime<Utc>,
}

impl System {
    /// Returns a system in which nothing is set yet.
    ///
    /// # Panics
    /// Never: the address that stands in is one.
    pub fn blank(tenant: TenantId, now: DateTime<Utc>) -> Self {
        Self {
            id: SystemId::new(),
            tenant,
            name: String::new(),
            system_type: String::new(),
            api_url: Url::parse("https://unset.invalid").expect("this is a url"),
            username: None,
            api_key: None,
            password: None,
            is_active: true,
            sync_interval: 300,
            initial_days: None,
            settings: BTreeMap::new(),
            mapping: Mapping::default(),
            cursor_at: None,
            last_sync_at: None,
            last_attempt_at: None,
            failure_streak: 0,
            blocked_until: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Says whether it is this system's turn.
    ///
    /// A tenth of the interval, at most 30 s, is forgiven: a schedule that ticks as often as the interval must find the system
    /// due at each tick, also when one tick comes a little late and the next does not.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        if !self.is_active || self.blocked_until.is_some_and(|until| until > now) {
            return false;
        }
        let Some(last) = self.last_attempt_at else { return true };
        let interval = TimeDelta::seconds(self.sync_interval);
        let doubled = interval * (1 << self.failure_streak.clamp(0, 10));
        let pause = doubled.min(LONGEST_PAUSE.max(interval));
        let forgiven = (interval / 10).min(TimeDelta::seconds(30));
        now >= last + pause - forgiven
    }

    /// Returns from when on the first run looks; `None` is the beginning.
    pub fn first_window(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.initial_days.map(|days| now - TimeDelta::days(days))
    }

    /// Returns where a secret of this system is sealed for.
    pub fn place(id: SystemId, field: &str) -> String {
        format!("work_order_systems:{id}:{field}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::work_orders::model) fn system() -> System {
        System { name: "ops".into(), ..System::blank(TenantId::default(), DateTime::UNIX_EPOCH) }
    }

    #[test]
    fn a_system_is_due_after_its_interval_and_rests_when_it_fails() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
        for (last, streak, now, due) in [
            (None, 0, 0, true),
            (Some(0), 0, 200, false),
            (Some(2), 0, 300, true),
            (Some(0), 0, 300, true),
            (Some(0), 1, 300, false),
            (Some(0), 1, 600, true),
            (Some(0), 40, 3_000, false),
            (Some(0), 40, 3_600, true),
        ] {
            let system = System { last_attempt_at: last.map(at), failure_streak: streak, ..system() };
            assert_eq!(system.is_due(at(now)), due, "last {last:?}, {streak} failures, now {now}");
        }
        assert!(!System { is_active: false, ..system() }.is_due(at(0)));
        assert!(!System { blocked_until: Some(at(10)), ..system() }.is_due(at(9)));
        let daily = System { sync_interval: 86_400, failure_streak: 3, last_attempt_at: Some(at(0)), ..system() };
        assert!(daily.is_due(at(86_400)), "a rest is never longer than the interval itself or an hour");
    }
}
