//! What can happen in a history.

use deskhand_jobs::queue::{DeadReason, Endings, Retention, Verdict};
use deskhand_jobs::{Limits, Rate};
use proptest::prelude::*;
use proptest::sample::Index;

pub(super) const WORKERS: usize = 3;
pub(super) const STEP_MS: i64 = 5_000;
pub(super) const LATER_MS: u64 = 7_000;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Push(New),
    /// Jobs in one call, and which of all is pushed again behind them, if one is.
    PushMany(Vec<New>, Option<Index>),
    OpenBatch {
        again: Option<Index>,
        later: bool,
    },
    Seal(Index),
    CancelBatch(Index),
    PushAgain(Index),
    Register(usize),
    Beat(usize),
    Claim(usize, usize),
    Settle(Index, Fate),
    /// So many succeed, told in one call.
    SettleMany(usize),
    SettleAgain(Index),
    Report(Index, Option<u64>, bool),
    ReportLate(Index),
    Leave(usize),
    HandBackOthers(usize, Index),
    Cancel(Index),
    RetryNow(Index),
    Redrive(Index, bool),
    RedriveSome {
        poisoned: bool,
    },
    Discard(Index),
    DiscardSome {
        poisoned: bool,
    },
    Amend(Index, u8),
    Pause,
    Resume,
    Limit(Option<u32>),
    Fix(u8, Option<u8>),
    Pass(i64),
    Forget,
}

/// A new job: priority, unique key (until started, for a time, in place of others), due time, group and limits, batch and member,
/// and whether its arguments are so large that Redis does not read them again at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct New {
    pub(super) rank: u8,
    pub(super) key: Option<(u8, bool, bool, bool)>,
    pub(super) later: bool,
    pub(super) group: Option<(u8, u8)>,
    pub(super) batch: Option<(Index, Index)>,
    pub(super) large: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Succeed,
    SucceedWith,
    Retry,
    Snooze,
    SetAside,
    HandBack,
    Cancel,
    Fail,
    Poison,
}

fn fate() -> impl Strategy<Value = Fate> {
    use Fate::{Cancel, Fail, HandBack, Poison, Retry, SetAside, Snooze, Succeed, SucceedWith};
    prop::sample::select(vec![Succeed, SucceedWith, Retry, Retry, Snooze, SetAside, HandBack, Cancel, Fail, Poison])
}

pub(super) fn limited_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => step(prop::option::weighted(0.8, (0u8..3, 0u8..5)), 1usize..6),
        1 => prop::option::of(1u32..5).prop_map(Step::Limit),
        2 => (0u8..3, prop::option::of(0u8..5)).prop_map(|(group, limits)| Step::Fix(group, limits)),
    ]
}

/// No limits, some, and rates whose tokens come every second step of the clock.
pub(super) fn limits(kind: u8) -> Limits {
    let rate = |burst| Some(Rate { starts: 1, per_ms: 2 * STEP_MS as u64, burst });
    match kind {
        0 => Limits::default(),
        1 => Limits { concurrency: Some(1), rate: None },
        2 => Limits { concurrency: Some(2), rate: None },
        3 => Limits { concurrency: None, rate: rate(2) },
        _ => Limits { concurrency: Some(2), rate: rate(1) },
    }
}

/// Jobs with whatever there is.
fn any_job(group: BoxedStrategy<Option<(u8, u8)>>) -> impl Strategy<Value = New> {
    let key = prop::option::of((0u8..2, any::<bool>(), any::<bool>(), any::<bool>()));
    let batch = prop::option::of((any::<Index>(), any::<Index>()));
    let all = (0u8..4, key, any::<bool>(), group, batch, any::<bool>());
    all.prop_map(|(rank, key, later, group, batch, large)| New { rank, key, later, group, batch, large })
}

/// Takes no job's place: in a call in which somebody does, SQLite says of the others what is so at its end.
fn keeping(new: New) -> New {
    New { key: new.key.map(|(key, started, limited, _)| (key, started, limited, false)), ..new }
}

/// Jobs as they come by the thousand: ready at once, and if they have a key then mostly one of their own.
fn common_job(group: BoxedStrategy<Option<(u8, u8)>>) -> impl Strategy<Value = New> {
    let key = prop::option::of((any::<u8>(), prop::bool::weighted(0.2), Just(false), Just(false)));
    let all = (prop_oneof![Just(2u8), 0u8..4], key, group, prop::bool::weighted(0.3));
    all.prop_map(|(rank, key, group, large)| New { rank, key, later: false, group, batch: None, large })
}

fn step(
    group: impl Strategy<Value = Option<(u8, u8)>> + 'static,
    most: impl Strategy<Value = usize> + 'static,
) -> impl Strategy<Value = Step> {
    let group = group.boxed();
    let many = prop_oneof![
        4 => prop::collection::vec(common_job(group.clone()), 1..12),
        1 => prop::collection::vec(any_job(group.clone()).prop_map(keeping), 1..6),
    ];
    let again = prop::option::weighted(0.2, any::<Index>());
    prop_oneof![
        6 => any_job(group).prop_map(Step::Push),
        3 => (many, again).prop_map(|(many, again)| Step::PushMany(many, again)),
        3 => (1usize..20).prop_map(Step::SettleMany),
        2 => (prop::option::of(any::<Index>()), any::<bool>())
            .prop_map(|(again, later)| Step::OpenBatch { again, later }),
        2 => any::<Index>().prop_map(Step::Seal),
        1 => any::<Index>().prop_map(Step::CancelBatch),
        1 => any::<Index>().prop_map(Step::PushAgain),
        2 => (0..WORKERS).prop_map(Step::Register),
        3 => (0..WORKERS).prop_map(Step::Beat),
        5 => (0..WORKERS, most).prop_map(|(worker, most)| Step::Claim(worker, most)),
        6 => (any::<Index>(), fate()).prop_map(|(which, fate)| Step::Settle(which, fate)),
        1 => any::<Index>().prop_map(Step::SettleAgain),
        2 => (any::<Index>(), prop::option::of(0u64..5), any::<bool>())
            .prop_map(|(which, done, again)| Step::Report(which, done, again)),
        1 => any::<Index>().prop_map(Step::ReportLate),
        1 => (0..WORKERS).prop_map(Step::Leave),
        1 => (0..WORKERS, any::<Index>()).prop_map(|(worker, kept)| Step::HandBackOthers(worker, kept)),
        2 => any::<Index>().prop_map(Step::Cancel),
        1 => any::<Index>().prop_map(Step::RetryNow),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(which, later)| Step::Redrive(which, later)),
        1 => any::<Index>().prop_map(Step::Discard),
        1 => any::<bool>().prop_map(|poisoned| Step::RedriveSome { poisoned }),
        1 => any::<bool>().prop_map(|poisoned| Step::DiscardSome { poisoned }),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(which, n)| Step::Amend(which, n)),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        4 => (1i64..4).prop_map(Step::Pass),
        1 => Just(Step::Forget),
    ]
}

impl Fate {
    pub(super) fn verdict(self) -> Verdict {
        let text = || "it went wrong".to_owned();
        match self {
            Self::Succeed => Verdict::Succeeded,
            Self::SucceedWith => Verdict::SucceededWith { result: serde_json::json!({ "n": 1 }) },
            Self::Retry => Verdict::Retry { delay_ms: LATER_MS, error: text() },
            Self::Snooze => Verdict::Snooze { delay_ms: LATER_MS },
            Self::SetAside => Verdict::SetAside { delay_ms: LATER_MS },
            Self::HandBack => Verdict::HandBack,
            Self::Cancel => Verdict::Cancelled { reason: text() },
            Self::Fail => Verdict::Dead { reason: DeadReason::Exhausted, error: text() },
            Self::Poison => Verdict::Dead { reason: DeadReason::Decode, error: "cannot read it".to_owned() },
        }
    }
}

/// Age decides what is retained, never the number: jobs that end within one millisecond have no order.
pub(super) fn endings() -> impl Strategy<Value = Endings> {
    let retention = Retention { max_count: 1_000, max_age_ms: STEP_MS as u64 * 2 + 2_000 };
    prop::sample::select(vec![Endings::Keep, Endings::Drop, Endings::Retain(retention)])
}

pub(super) fn unlimited_step() -> BoxedStrategy<Step> {
    step(Just(None), Just(400)).boxed()
}
