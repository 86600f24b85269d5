//! What jobs differ in from plain ones, and how a push tells it: many differ in the same, which is said once.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::{Buf, Bytes};
use foldhash::fast::RandomState;

use super::ids::Packed;
use super::limits::limits_text;
use crate::job::Envelope;
use crate::options::{OnConflict, Options, Priority, UniqueUntil};

/// What a script is told.
#[derive(Debug)]
pub(super) enum Argument<'a> {
    Text(Cow<'a, [u8]>),
    Id(Packed),
}

impl AsRef<[u8]> for Argument<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Id(id) => id,
        }
    }
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<Vec<u8>> for Argument<'_> {
    fn from(text: Vec<u8>) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

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
pub(super) fn push_arguments<'a>(jobs: impl Iterator<Item = &'a Envelope>) -> Vec<Argument<'a>> {
    let mut shapes = Shapes::default();
    let (mut which, mut keys, mut values): (Vec<u8>, Vec<Argument<'_>>, Vec<Argument<'_>>) = Default::default();
    for job in jobs {
        let number = shapes.number_of(shape_of(job));
        let options = shapes.each[usize::from(number) - 1].split_once(':').map_or("", |(_, options)| options);
        which.extend(number.to_be_bytes());
        keys.extend(job.options.unique.as_ref().map(|unique| Argument::from(unique.key.as_bytes())));
        values.push(Argument::Id(Packed::of(job.id)));
        values.push(value_of(job, options).into());
    }
    let mut arguments = Vec::with_capacity(3 + shapes.each.len() + keys.len() + values.len());
    if shapes.each.iter().all(String::is_empty) {
        arguments.push(b"p"[..].into());
    } else {
        arguments.push(number(shapes.each.len()));
        arguments.extend(shapes.each.into_iter().map(|shape| shape.into_bytes().into()));
        arguments.push(which.into());
        arguments.push(number(keys.len()));
        arguments.append(&mut keys);
    }
    arguments.append(&mut values);
    arguments
}

/// The options of a plain job.
pub(super) const PLAIN: &str = "2-\n\n";

/// The first byte of what is kept of a job that is not plain; that of a payload is a brace.
const NOT_PLAIN: u8 = 1;

/// How many bytes say so, and how long the options are.
const MARK: usize = 5;

/// Writes a job as the scripts keep it: the payload, with its options before it if it is not plain. Where the options depend on what the
/// store knows, the script writes them anew.
fn value_of(job: &Envelope, options: &str) -> Vec<u8> {
    let key = job.options.unique.as_ref().map_or("", |unique| unique.key.as_str());
    let mut value = Vec::with_capacity(MARK + options.len() + key.len() + job.args.get().len() + 64);
    if !matches!(options, "" | PLAIN) {
        value.push(NOT_PLAIN);
        value.extend(((options.len() + key.len()) as u32).to_be_bytes());
        value.extend_from_slice(options.as_bytes());
        value.extend_from_slice(key.as_bytes());
    }
    job.encode_behind(&mut value);
    value
}

/// Takes off what the scripts keep before a payload.
pub(super) fn payload_of(mut value: Bytes) -> Bytes {
    if let [NOT_PLAIN, a, b, c, d, ..] = value[..] {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // What is no such thing was written by nobody here: it stays as it is.
        if length >= PLAIN.len() && value.len() >= MARK + length {
            value.advance(MARK + length);
        }
    }
    value
}

fn number(count: usize) -> Argument<'static> {
    count.to_string().into_bytes().into()
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
    let instead = if replaces(job) { format!("r{}", job.id) } else { String::new() };
    let due = job.run_at_ms.map(|at| at.max(0).to_string()).unwrap_or_default();
    let limits = group.as_ref().map(|group| group.limits).filter(|limits| !limits.is_empty());
    let limits = limits.map(limits_text).unwrap_or_default();
    let group = group.as_ref().map_or("", |group| group.key.as_str());
    let mut batch = job.batch.map(|batch| batch.to_string()).unwrap_or_default();
    if let Some(parent) = job.parent.filter(|_| job.batch.is_some()) {
        batch.push('/');
        batch.extend(Packed::of(parent).iter().map(|byte| format!("{byte:02x}")));
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
            rest.iter().step_by(2).zip(jobs).all(|(id, job)| id.as_ref() == &*Packed::of(job.id)),
            "the jobs come last"
        );
        let text = |bytes: Argument<'_>| match bytes.as_ref() {
            [0, ..] => {
                bytes.as_ref().chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]).to_string()).collect()
            }
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        arguments.into_iter().map(text).collect()
    }

    #[test]
    fn plain_jobs_are_said_to_be_plain() {
        assert_eq!(told(&[job(Options::default()), job(Options::default())]), ["p"]);
    }

    #[test]
    fn options_stand_before_the_payload_of_jobs_that_have_some() {
        let unique = Unique::new("k\n", UniqueUntil::Finished);
        let keyed = job(Options { priority: Priority::High, unique: Some(unique), ..Options::default() });
        for (job, options) in [(job(Options::default()), None), (keyed, Some("1f\n\nk\n"))] {
            let value = push_arguments([&job].into_iter()).pop().expect("comes last");
            let value = Bytes::copy_from_slice(value.as_ref());
            let marked = options.map(|options| [&[1, 0, 0, 0, 6], options.as_bytes()].concat()).unwrap_or_default();
            assert_eq!(value, [marked, job.encode()].concat());
            assert_eq!(payload_of(value), job.encode());
        }
        for foreign in [&[1][..], &[1, 0, 0, 0, 9, 1], &[1, 0, 0, 0, 2, b'2', b's']] {
            assert_eq!(payload_of(Bytes::from_static(foreign)), foreign, "nothing of ours");
        }
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
        let replacing = format!("r{};:2S\n\n9:", jobs[3].id);
        let shapes = [";:2f\n\n", "", &replacing, ";2,,,:1-g\n\n", "7;:2-\n\n"];
        let expected: Vec<&str> = ["5"].into_iter().chain(shapes).chain(["1213454", "3", "a", "b", "c"]).collect();
        assert_eq!(told(&jobs), expected);
    }
}
