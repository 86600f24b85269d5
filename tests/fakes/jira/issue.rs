use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use super::Deployment;

/// An issue as the fake keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) summary: String,
    /// As text; Cloud shows and takes it as a document.
    pub(crate) description: String,
    pub(crate) assignee: Option<&'static User>,
    pub(crate) due: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) category: &'static str,
    pub(crate) priority: &'static str,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) labels: Vec<String>,
    pub(crate) components: Vec<String>,
    /// Its body cannot be read.
    pub(crate) spoilt: bool,
}

/// Somebody to whom an issue may be given.
#[derive(Debug)]
pub(crate) struct User {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    email: &'static str,
}

/// Two of them have the same name.
pub(super) static USERS: [User; 3] = [
    User { id: "lwei", name: "Li Wei", email: "li.wei@example.com" },
    User { id: "ana1", name: "Ana Sol", email: "ana.sol@example.com" },
    User { id: "ana2", name: "Ana Sol", email: "ana.sol.2@example.com" },
];

impl User {
    /// Shows the user: Cloud knows ids, Data Center names of accounts.
    pub(super) fn json(&self, deployment: Deployment) -> Value {
        let key = if deployment == Deployment::Cloud { "accountId" } else { "name" };
        json!({key: self.id, "displayName": self.name, "emailAddress": self.email})
    }

    /// Says whether a search finds the user.
    pub(super) fn is_found_by(&self, term: &str) -> bool {
        let term = term.to_lowercase();
        [self.id, self.name, self.email].iter().any(|text| text.to_lowercase().starts_with(&term))
    }
}

/// 2024-01-01T00:00:00Z.
pub(crate) const EPOCH_MS: i64 = 1_704_067_200_000;

impl Issue {
    /// Makes the n-th issue. Each changed a minute after the one before, except that three in a row share their instant.
    pub(crate) fn numbered(n: u64) -> Self {
        let (status, category) =
            [("To Do", "new"), ("In Progress", "indeterminate"), ("Closed", "done")][n as usize % 3];
        Self {
            id: 10_000 + n,
            key: format!("OPS-{n}"),
            summary: format!("ticket number {n}"),
            description: format!("text of OPS-{n}"),
            assignee: None,
            due: Some("2026-12-01".to_owned()),
            status,
            category,
            priority: ["Highest", "High", "Medium", "Low"][n as usize % 4],
            created_ms: EPOCH_MS,
            updated_ms: EPOCH_MS + (n / 3) as i64 * 180_000,
            labels: vec!["printer".to_owned()],
            components: vec!["hardware".to_owned()],
            spoilt: false,
        }
    }

    /// Shows the issue as the REST API does, with the fields that were asked for.
    pub(super) fn json(&self, deployment: Deployment, fields: &[&str]) -> Value {
        if self.spoilt {
            return json!({"id": self.id.to_string(), "key": self.key});
        }
        let description = match deployment {
            Deployment::Server => json!(self.description),
            Deployment::Cloud => json!({"type": "doc", "version": 1, "content": [
                {"type": "paragraph", "content": [{"type": "text", "text": self.description}]},
            ]}),
        };
        let all = json!({
            "summary": self.summary,
            "description": description,
            "status": {"name": self.status, "statusCategory": {"key": self.category}},
            "priority": {"name": self.priority},
            "reporter": {"displayName": "Li Wei", "emailAddress": "li.wei@example.com"},
            "assignee": self.assignee.map(|user| user.json(deployment)),
            "created": date(self.created_ms),
            "updated": date(self.updated_ms),
            "duedate": self.due,
            "resolutiondate": null,
            "labels": self.labels,
            "components": self.components.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            "issuetype": {"name": "Incident"},
        });
        let mut shown = json!({"id": self.id.to_string(), "key": self.key});
        let wanted: serde_json::Map<_, _> = all
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(name, _)| fields.iter().any(|field| *field == "*all" || field == name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !wanted.is_empty() {
            shown["fields"] = Value::Object(wanted);
        }
        shown
    }
}

/// Writes an instant as Jira does, in the zone of the account.
fn date(ms: i64) -> String {
    let zone = FixedOffset::east_opt(8 * 3600).expect("a zone");
    let at = DateTime::from_timestamp_millis(ms).expect("in range").with_timezone(&zone);
    at.format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string()
}
