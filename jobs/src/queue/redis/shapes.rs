//! What jobs differ in from plain ones, and how a push tells it: many differ in the same, which is said once.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::limits::limits_text;
use crate::job::Envelope;
use crate::options::{OnConflict, Options, Priority, UniqueUntil};

type Argument<'a> = Cow<'a, [u8]>;

/// The shapes of the jobs of one call, each once, in the order in which they come up.
#[derive(Default)]
struct Shapes {
    each: Vec<String>,
    numbers: HashMap<String, u16, RandomState>,
    last: u16,
}

impl Shapes {
    /// Returns the number of a shape, counted from 1. There are no more shapes than jobs in a call, which are few hundreds.
    fn number_of(&mut self, shape: String) -> u16 {
        // Most often it is that of the job before.
        if usize::from(self.last).checked_sub(1).is_some_and(|at| self.each[at] == shape) {
            return self.last;
        }
        self.last = *self.numbers.entry(shape).or_insert_with_key(|shape| {
            self.each.push(shape.clone());
            self.each.len() as u16
        });
        self.last
    }
}

/// Writes new jobs as the script reads them.
pub(super) fn push_arguments<'a>(jobs: impl Iterator<Item = &'a Envelope> + Clone) -> Vec<Argument<'a>> {
    let mut shapes = Shapes::default();
    let (mut which, mut keys): (Vec<u8>, Vec<Argument<'_>>) = Default::default();
    for job in jobs.clone() {
        which.extend(shapes.number_of(shape_of(job)).to_be_bytes());
        keys.extend(job.options.unique.as_ref().map(|unique| Cow::Borrowed(unique.key.as_bytes())));
    }
    let mut arguments = Vec::with_capacity(3 + shapes.each.len() + keys.len() + which.len());
    if shapes.each.iter().all(String::is_empty) {
        arguments.push(Cow::Borrowed(&b"p"[..]));
    } else {
        arguments.push(number(shapes.each.len()));
        arguments.extend(shapes.each.into_iter().map(|shape| Cow::Owned(shape.into_bytes())));
        arguments.push(Cow::Owned(which));
        arguments.push(number(keys.len()));
        arguments.extend(keys);
    }
    for job in jobs {
        arguments.push(Cow::Borrowed(job.id.as_bytes()));
        arguments.push(Cow::Owned(job.encode()));
    }
    arguments
}

fn number(count: usize) -> Argument<'static> {
    Cow::Owned(count.to_string().into_bytes())
}

pub(super) fn replaces(job: &Envelope) -> bool {
    job.options.unique.as_ref().is_some_and(|unique| unique.on_conflict == OnConflict::Replace)
}

/// Writes all that a job differs in; nothing for a plain one.
pub(super) fn push_options(job: &Envelope) -> String {
    let mut text = shape_of(job);
    text.push_str(job.options.unique.as_ref().map_or("", |unique| unique.key.as_str()));
    text
}

/// The same without the unique key, which each job has for itself.
fn shape_of(job: &Envelope) -> String {
    let Options { priority, unique, group, .. } = &job.options;
    let plain = *priority == Priority::Normal && unique.is_none() && group.is_none() && job.batch.is_none();
    if plain && job.run_at_ms.is_none() {
        return String::new();
    }
    let for_ms = unique.as_ref().and_then(|unique| unique.for_ms);
    let until = match (unique.as_ref().map(|unique| unique.until), for_ms) {
        (None, _) => '-',
        (Some(UniqueUntil::Started), None) => 's',
        (Some(UniqueUntil::Started), Some(_)) => 'S',
        (Some(UniqueUntil::Finished), None) => 'f',
        (Some(UniqueUntil::Finished), Some(_)) => 'F',
    };
    let latest = for_ms.map(|for_ms| format!("{for_ms}:")).unwrap_or_default();
    let instead = if replaces(job) { "r" } else { "" };
    let due = job.run_at_ms.map(|at| at.max(0).to_string()).unwrap_or_default();
    let limits = group.as_ref().map(|group| group.limits).filter(|limits| !limits.is_empty());
    let limits = limits.map(limits_text).unwrap_or_default();
    let group = group.as_ref().map_or("", |group| group.key.as_str());
    let mut batch = job.batch.map(|batch| batch.to_string()).unwrap_or_default();
    if let Some(parent) = job.parent.filter(|_| job.batch.is_some()) {
        batch.push('/');
        batch.push_str(&parent.to_string());
    }
    format!("{due}{instead};{limits}:{}{until}{group}\n{batch}\n{latest}", priority.rank())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::id::{GroupKey, Kind};
    use crate::options::{Group, Unique};

    fn job(options: Options) -> Envelope {
        let args = RawValue::from_string("{}".to_owned()).expect("valid JSON");
        Envelope::raw(Kind::new("test.run").expect("a valid kind"), args, options).expect("small")
    }

    /// What is said before the jobs, with their numbers as digits.
    fn told(jobs: &[Envelope]) -> Vec<String> {
        let mut arguments = push_arguments(jobs.iter());
        let rest = arguments.split_off(arguments.len() - 2 * jobs.len());
        assert!(
            rest.iter().step_by(2).zip(jobs).all(|(id, job)| id.as_ref() == job.id.as_bytes()),
            "the jobs come last"
        );
        let text = |bytes: Argument<'_>| match bytes.as_ref() {
            [0, ..] => bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]).to_string()).collect(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        arguments.into_iter().map(text).collect()
    }

    #[test]
    fn plain_jobs_are_said_to_be_plain() {
        assert_eq!(told(&[job(Options::default()), job(Options::default())]), ["p"]);
    }

    #[test]
    fn what_several_jobs_differ_in_is_said_once_and_keys_apart() {
        let unique =
            |key: &str| Options { unique: Some(Unique::new(key, UniqueUntil::Finished)), ..Options::default() };
        let held =
            Options { unique: Some(Unique::new("c", UniqueUntil::Started).for_ms(9).replace()), ..Options::default() };
        let group = Group::new(GroupKey::new("g").expect("valid")).concurrency(2);
        let grouped = Options { priority: Priority::High, group: Some(group), ..Options::default() };
        let mut later = job(Options::default());
        later.run_at_ms = Some(7);
        let jobs = [
            job(unique("a")),
            job(Options::default()),
            job(unique("b")),
            job(held),
            job(grouped.clone()),
            later,
            job(grouped),
        ];
        let shapes = [";:2f\n\n", "", "r;:2S\n\n9:", ";2,,,:1-g\n\n", "7;:2-\n\n"];
        let expected: Vec<&str> = ["5"].into_iter().chain(shapes).chain(["1213454", "3", "a", "b", "c"]).collect();
        assert_eq!(told(&jobs), expected);
    }
}
