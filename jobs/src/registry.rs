//! Kind → handler. A worker runs what is in its registry; a door asks it which kinds exist and whether arguments fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;

use crate::id::Kind;
use crate::job::{Envelope, EnvelopeError, Job, Run};
use crate::outcome;

type RunFn =
    Arc<dyn Fn(&RawValue, Run) -> Result<BoxFuture<'static, outcome::Result>, serde_json::Error> + Send + Sync>;
type WrapFn = fn(Kind, Box<RawValue>) -> Result<Envelope, Rejected>;

/// Why a job of a kind cannot be made from arguments.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// Nothing runs this kind.
    #[error("no job of kind {kind:?} exists; the kinds are {known}")]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What there is.
        known: String,
    },
    /// The arguments are not those of the kind.
    #[error("the arguments do not fit {kind}: {source}")]
    Args {
        /// The kind.
        kind: Kind,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The envelope cannot be made.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

/// A second handler for a kind.
#[derive(Debug, thiserror::Error)]
#[error("two handlers for jobs of kind {0}: give one of them another kind")]
pub struct Double(Kind);

#[derive(Clone)]
struct Entry {
    run: RunFn,
    wrap: WrapFn,
}

/// All kinds of jobs that a program knows.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<Kind, Entry>,
    retired: BTreeMap<Kind, String>,
}

impl Registry {
    /// Makes an empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind with what its handler needs.
    ///
    /// # Errors
    /// [`Double`] if the kind is there already.
    ///
    /// # Panics
    /// If the kind of `J` does not follow the rule of [`Kind`].
    pub fn add<J: Job>(&mut self, context: J::Context) -> Result<(), Double> {
        let kind = Kind::new(J::KIND).expect("the kind of a job type follows the rule");
        let run: RunFn = Arc::new(move |args, run| {
            let job: J = serde_json::from_str(args.get())?;
            Ok(job.run(context.clone(), run).boxed())
        });
        if self.entries.contains_key(&kind) || self.retired.contains_key(&kind) {
            return Err(Double(kind));
        }
        self.entries.insert(kind, Entry { run, wrap: wrap::<J> });
        Ok(())
    }

    /// Marks a kind that is no more: jobs of it that still wait are ended as not wanted, with the reason.
    ///
    /// # Errors
    /// [`Double`] if the kind is there already.
    pub fn retire(&mut self, kind: Kind, reason: impl Into<String>) -> Result<(), Double> {
        if self.entries.contains_key(&kind) || self.retired.contains_key(&kind) {
            return Err(Double(kind));
        }
        self.retired.insert(kind, reason.into());
        Ok(())
    }

    /// Returns the kinds that run.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.entries.keys()
    }

    /// Makes an envelope of a kind, with the options that the kind gives to these arguments.
    ///
    /// # Errors
    /// [`Rejected`] says what does not fit.
    pub fn envelope(&self, kind: &str, args: Box<RawValue>) -> Result<Envelope, Rejected> {
        let Some((kind, entry)) = self.entries.get_key_value(kind) else {
            let known = self.entries.keys().map(Kind::as_str).collect::<Vec<_>>().join(", ");
            return Err(Rejected::UnknownKind { kind: kind.to_owned(), known });
        };
        (entry.wrap)(kind.clone(), args)
    }

    pub(crate) fn find(&self, kind: &str) -> Found<'_> {
        if let Some(entry) = self.entries.get(kind) {
            return Found::Handler(&entry.run);
        }
        self.retired.get(kind).map_or(Found::Nothing, |reason| Found::Retired(reason))
    }
}

pub(crate) enum Found<'a> {
    Handler(&'a RunFn),
    Retired(&'a str),
    Nothing,
}

fn wrap<J: Job>(kind: Kind, args: Box<RawValue>) -> Result<Envelope, Rejected> {
    let job: J = serde_json::from_str(args.get()).map_err(|source| Rejected::Args { kind: kind.clone(), source })?;
    Ok(Envelope::raw(kind, args, job.options())?)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::outcome::Outcome;

    #[derive(Serialize, Deserialize)]
    struct Send {
        to: u32,
    }

    impl Job for Send {
        const KIND: &'static str = "mail.send";
        type Context = ();

        async fn run(self, (): (), _: Run) -> outcome::Result {
            Ok(Outcome::Done)
        }
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("valid JSON")
    }

    #[test]
    fn a_second_handler_for_a_kind_is_refused() {
        let mut registry = Registry::new();
        registry.add::<Send>(()).expect("first");
        assert!(registry.add::<Send>(()).is_err());
        assert!(registry.retire(Kind::new("mail.send").expect("valid"), "gone").is_err());
    }

    #[test]
    fn what_does_not_fit_is_rejected_with_the_reason() {
        let mut registry = Registry::new();
        registry.add::<Send>(()).expect("first");
        assert!(registry.envelope("mail.send", raw(r#"{"to":1}"#)).is_ok());
        let unknown = registry.envelope("mail.sent", raw("{}")).expect_err("unknown kind");
        assert!(unknown.to_string().contains("mail.send"), "{unknown}");
        let misfit = registry.envelope("mail.send", raw(r#"{"to":"x"}"#)).expect_err("bad arguments");
        assert!(misfit.to_string().contains("mail.send"), "{misfit}");
    }
}
