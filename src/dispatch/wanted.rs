//! A job that somebody wants, from what was asked to what travels.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use deskhand_jobs::{Envelope, Group, Kind, Options, Priority, QueueName, Registry, Unique};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::limits;
use super::remote::{self, Target};
use crate::base::{Error, Result, TenantId};

/// The longest idempotency key, and the longest unique key.
const MAX_KEY_CHARS: usize = 200;

/// A job that somebody wants.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What to do.
    pub kind: String,
    /// The arguments, as JSON.
    pub args: Box<RawValue>,
    /// Another queue than the kind's own, or a remote queue of the tenant.
    pub queue: Option<QueueName>,
    /// Another priority than the kind's own.
    pub priority: Option<Priority>,
    /// Not before this instant.
    pub run_at: Option<DateTime<Utc>>,
    /// Another number of failures than the kind's own.
    pub max_attempts: Option<u32>,
    /// Another time limit than the kind's own, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Another key than the kind's own, of which there may be one job.
    pub unique: Option<Unique>,
    /// Another group than the kind's own, whose limits it shares.
    pub group: Option<Group>,
    /// The client's key: the same request under the same key is the same job.
    pub idempotency_key: Option<String>,
}

impl NewJob {
    /// Hashes what was asked for; the order of keys and white space do not matter.
    pub(super) fn fingerprint(&self) -> Result<String> {
        let wrong = |error: serde_json::Error| Error::field("/args", error.to_string());
        let args: serde_json::Value = serde_json::from_str(self.args.get()).map_err(wrong)?;
        let mut asked = serde_json::json!({
            "kind": self.kind, "args": args, "queue": self.queue, "priority": self.priority, "run_at": self.run_at,
            "max_attempts": self.max_attempts, "unique": self.unique,
        });
        // What came later is left out if nobody asks for it: a key that was used before then still means the same.
        if let Some(group) = &self.group {
            asked["group"] = serde_json::json!(group);
        }
        if let Some(timeout_ms) = self.timeout_ms {
            asked["timeout_ms"] = serde_json::json!(timeout_ms);
        }
        Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(asked.to_string())))
    }

    /// Makes what travels. `remote` is the remote queue that `queue` names, if it names one.
    ///
    /// # Errors
    /// [`Error::Invalid`] names what does not fit.
    pub(super) fn envelope(self, registry: &Registry, tenant: &TenantId, remote: Option<&Target>) -> Result<Envelope> {
        if !self.args.get().starts_with('{') {
            return Err(Error::field("/args", "the arguments have to be a JSON object, as in {}"));
        }
        remote::check_timeout(self.timeout_ms)?;
        let mut envelope = match remote {
            Some(remote) => of_anybody(self.kind, self.args, remote)?,
            None => registry.envelope(&self.kind, self.args)?,
        };
        let options = &mut envelope.options;
        if let (Some(queue), None) = (self.queue, remote) {
            options.queue = queue;
        }
        options.priority = self.priority.unwrap_or(options.priority);
        options.max_attempts = self.max_attempts.unwrap_or(options.max_attempts);
        options.timeout_ms = self.timeout_ms.unwrap_or(options.timeout_ms);
        options.unique = self.unique.or(options.unique.take());
        options.group = self.group.or(options.group.take());
        envelope.tenant = Some(tenant.to_string());
        envelope.run_at_ms = self.run_at.map(|at| at.timestamp_millis());
        check(&envelope.options, tenant)?;
        Ok(envelope)
    }
}

/// Makes a job for programs that this one does not know: any kind, any arguments.
fn of_anybody(kind: String, args: Box<RawValue>, remote: &Target) -> Result<Envelope> {
    let kind = Kind::new(kind).map_err(|error| Error::field("/kind", error.to_string()))?;
    let defaults = Options::default();
    let options = Options {
        queue: remote.behind.clone(),
        timeout_ms: remote.defaults.timeout_ms.unwrap_or(defaults.timeout_ms),
        max_attempts: remote.defaults.max_attempts.unwrap_or(defaults.max_attempts),
        ..defaults
    };
    Ok(Envelope::raw(kind, args, options)?)
}

fn check(options: &Options, tenant: &TenantId) -> Result<()> {
    if let Some(group) = &options.group {
        limits::check(tenant, group)?;
    }
    if let Some(Unique { key, .. }) = &options.unique
        && (key.is_empty() || key.chars().count() > MAX_KEY_CHARS || key.chars().any(char::is_control))
    {
        let cure = format!("a unique key has 1 to {MAX_KEY_CHARS} characters, none of them a control character");
        return Err(Error::field("/unique/key", cure));
    }
    if options.unique.as_ref().is_some_and(|unique| unique.for_ms == Some(0)) {
        return Err(Error::field(
            "/unique/for_ms",
            "a unique key holds for at least 1 ms, or without for_ms as long as its job",
        ));
    }
    if options.max_attempts == 0 {
        return Err(Error::field("/max_attempts", "a job has at least 1 attempt"));
    }
    Ok(())
}

/// Refuses a client's key that could not be kept.
pub(super) fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS || key.contains('\0') {
        return Err(Error::field(
            "/idempotency_key",
            format!("an idempotency key has 1 to {MAX_KEY_CHARS} characters"),
        ));
    }
    Ok(())
}
