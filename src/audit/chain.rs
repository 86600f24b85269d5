//! The chain of hashes: what an entry's hash covers, and what a broken chain looks like. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::store::Row;

/// What stands for the entry before the first.
pub(super) const ROOT: &str = "";

/// Returns the hash of an entry: SHA-256 over the hash before it and every field, each with its length in front, so that no two
/// different entries read alike.
pub(super) fn hash(row: &Row) -> String {
    let mut digest = Sha256::new();
    let mut field = |text: Option<&str>| match text {
        None => digest.update([0]),
        Some(text) => {
            digest.update([1]);
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        }
    };
    field(Some(&row.previous_hash));
    field(Some(&row.tenant_id.to_string()));
    field(Some(&row.seq.to_string()));
    field(Some(&row.at.timestamp_micros().to_string()));
    field(Some(row.actor_kind.as_str()));
    field(row.actor_id.as_deref());
    field(Some(&row.actor_name));
    field(row.address.as_deref());
    field(row.request_id.as_deref());
    field(row.claim_id.map(|claim| claim.to_string()).as_deref());
    field(Some(&row.action));
    field(Some(&row.object_kind));
    field(Some(&row.object_id));
    field(row.before_json.as_deref());
    field(row.after_json.as_deref());
    field(row.reason.as_deref());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// What a walk along a chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditVerdict)]
pub struct Verdict {
    /// How many entries were read.
    pub entries: i64,
    /// The hash of the last one: kept elsewhere, it proves that the chain up to there was not rewritten.
    pub head: String,
    /// Where the chain is broken; `None` if it is whole.
    pub broken: Option<Broken>,
}

/// The first place at which a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditBroken)]
pub struct Broken {
    /// The place in the chain.
    pub seq: i64,
    /// What is wrong there.
    pub what: &'static str,
}

/// A walk along a chain.
#[derive(Debug)]
pub(super) struct Walk {
    entries: i64,
    head: String,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { entries: 0, head: ROOT.to_owned() }
    }

    /// Returns the place up to which the chain was walked.
    pub(super) fn at(&self) -> i64 {
        self.entries
    }

    /// Takes the next entry; says what is wrong if it does not continue the chain.
    pub(super) fn step(&mut self, row: &Row) -> Result<(), Broken> {
        let place = self.entries + 1;
        let broken = |what| Err(Broken { seq: place, what });
        if row.seq != place {
            return broken("the entry is missing");
        }
        if row.previous_hash != self.head {
            return broken("the entry does not continue the one before it");
        }
        if hash(row) != row.hash {
            return broken("the entry was changed");
        }
        self.entries = place;
        self.head.clone_from(&row.hash);
        Ok(())
    }

    /// Ends the walk at the head that the database knows.
    pub(super) fn finish(self, head: Option<(i64, String)>) -> Verdict {
        let (seq, hash) = head.unwrap_or((0, ROOT.to_owned()));
        let broken = if seq > self.entries {
            Some(Broken { seq: self.entries + 1, what: "the entry is missing" })
        } else if seq < self.entries || hash != self.head {
            Some(Broken { seq: self.entries, what: "the head of the chain is not its last entry" })
        } else {
            None
        };
        Verdict { entries: self.entries, head: self.head, broken }
    }

    /// Ends the walk where it broke.
    pub(super) fn stop(self, broken: Broken) -> Verdict {
        Verdict { entries: self.entries, head: self.head, broken: Some(broken) }
    }
}
