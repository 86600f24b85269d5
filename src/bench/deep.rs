//! What a long backlog, priorities, groups and unique keys cost: rates beside those of plain jobs and a short backlog.

use deskhand_jobs::{Envelope, Group, GroupKey, Options, Priority, Unique, UniqueUntil};

use super::crew::Crew;
use super::flood::{Cost, batches, drain, push_in_bulk};
use super::job::{Starts, envelope, plain};
use super::plan::{CHUNKS, MADE_AT_ONCE};
use super::round::Figures;
use super::stage::Stage;
use super::statistics::median;
use crate::base::Result;

/// So many groups share the jobs of a measure.
const GROUPS: usize = 100;

/// More than any worker of a run takes at once: the limits are looked at and never bind.
const LOOSE_LIMIT: u32 = 100_000;

/// How jobs differ from plain ones, and the keys of what that costs.
const FLAVOURS: [(Flavour, &str, &str); 3] = [
    (priorities, "priorities_bulk_ratio", "priorities_drain_ratio"),
    (groups, "groups_bulk_ratio", "groups_drain_ratio"),
    (unique, "unique_bulk_ratio", "unique_drain_ratio"),
];

type Flavour = fn(usize) -> Options;

fn priorities(number: usize) -> Options {
    Options { priority: Priority::ALL[number % Priority::ALL.len()], ..plain() }
}

fn groups(number: usize) -> Options {
    let key = GroupKey::new(format!("group-{}", number % GROUPS)).expect("the key follows the rule");
    Options { group: Some(Group::new(key).concurrency(LOOSE_LIMIT)), ..plain() }
}

fn unique(number: usize) -> Options {
    Options { unique: Some(Unique::new(format!("key-{number}"), UniqueUntil::Finished)), ..plain() }
}

/// Measures rates of jobs that are not plain as parts of those of plain ones.
pub(super) async fn flavours(stage: &Stage, figures: &mut Figures) -> Result<()> {
    for (flavour, bulk_key, drain_key) in FLAVOURS {
        // Plain ones before and after, since a machine does not stay equally fast.
        let before = rates(stage, |_| plain()).await?;
        let ours = rates(stage, flavour).await?;
        let after = rates(stage, |_| plain()).await?;
        figures.insert(bulk_key, ours.0 / f64::midpoint(before.0, after.0));
        figures.insert(drain_key, ours.1 / f64::midpoint(before.1, after.1));
    }
    Ok(())
}

/// Measures the rate of a drain while many wait as a part of that while few do.
pub(super) async fn backlog(stage: &Stage, figures: &mut Figures) -> Result<()> {
    let (few, many) = stage.plan.backlogs();
    let mut short = Vec::new();
    short.extend(short_backlogs(stage, few).await?);
    let long = long_backlog(stage, few, many).await?;
    short.extend(short_backlogs(stage, few).await?);
    figures.insert("backlog_ratio", median(long) / median(short));
    Ok(())
}

/// Pushes and drains; returns how many a second went in and out.
async fn rates(stage: &Stage, flavour: Flavour) -> Result<(f64, f64)> {
    let jobs = stage.plan.jobs;
    let made = batches(jobs, |number| envelope(stage.plan.payload_bytes, None, flavour(number)))?;
    let push = Cost::of(stage, push_in_bulk(stage, made)).await?;
    let out = Cost::of(stage, drain(stage, jobs)).await?;
    Ok((jobs as f64 / push.wall_s, jobs as f64 / out.wall_s))
}

/// Lets a worker meet a short backlog several times; returns the rate of each time.
async fn short_backlogs(stage: &Stage, few: usize) -> Result<Vec<f64>> {
    let mut rates = Vec::with_capacity(CHUNKS);
    for _ in 0..CHUNKS {
        rates.extend(chunk_rates(stage, few, few).await?);
    }
    Ok(rates)
}

/// Lets a worker meet a long backlog; returns the rates of its first parts, each as long as a short backlog.
async fn long_backlog(stage: &Stage, few: usize, many: usize) -> Result<Vec<f64>> {
    let mut rates = chunk_rates(stage, few, many).await?;
    rates.truncate(CHUNKS);
    Ok(rates)
}

/// Pushes jobs, lets a worker run them, and returns how many a second of each part began.
async fn chunk_rates(stage: &Stage, chunk: usize, jobs: usize) -> Result<Vec<f64>> {
    let starts = Starts::expect(jobs, jobs);
    for first in (0..jobs).step_by(MADE_AT_ONCE) {
        let make =
            |number: usize| -> Result<Envelope> { envelope(stage.plan.payload_bytes, Some(first + number), plain()) };
        push_in_bulk(stage, batches((jobs - first).min(MADE_AT_ONCE), make)?).await?;
    }
    Crew::start(stage, &starts)?.finish(&starts, jobs).await?;
    let rate = |first: usize| {
        let began = || (first..first + chunk).filter_map(|number| starts.began_ns(number));
        let (earliest, latest) = (began().min()?, began().max()?);
        (latest > earliest).then(|| chunk as f64 * 1e9 / (latest - earliest) as f64)
    };
    Ok((0..jobs / chunk).filter_map(|number| rate(number * chunk)).collect())
}
