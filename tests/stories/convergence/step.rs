//! What may happen.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::Notify;

use crate::fakes::deeds::{Act, Deed};
use crate::fakes::fault::Fault;

/// A history.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// How many days after 1970 it is here; there it is always 2024.
    pub(super) day: u16,
    /// How many tickets the system gives at once.
    pub(super) page_size: usize,
    /// What happens.
    pub(super) steps: Vec<Step>,
}

/// What may happen.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Somebody does something there.
    There(Act),
    /// Somebody does this there after each of the next lists.
    Meanwhile(Vec<Vec<Act>>),
    /// This goes wrong with a list after so many more.
    Wrong(usize, Wrong),
    /// A job synchronises; it has so many attempts, and in between this is done there.
    Sync { attempts: usize, between: Option<Act> },
    /// A job looks for tickets that are gone.
    Reconcile,
    /// Somebody changes a ticket here.
    Here(u64, Here),
    /// What was changed of a ticket here is taken there; something may go wrong with the first call.
    Push(u64, Option<Wrong>),
    /// Time passes here.
    Later(Duration),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wrong {
    Limited,
    Error,
    Torn,
    Half,
    LoginPage,
    Expired,
    Slow,
    SameToken,
    /// The attempt is gone at this moment, and with it its process.
    Crash,
}

impl Wrong {
    /// Returns the fault of the fake; a crash is told by `crashed`.
    pub(super) fn fault(self, crashed: &Arc<Notify>) -> Fault {
        match self {
            Self::Limited => Fault::RateLimited("7".into()),
            Self::Error => Fault::Status(500),
            Self::Torn => Fault::Truncated,
            Self::Half => Fault::HalfJson,
            Self::LoginPage => Fault::LoginPage,
            Self::Expired => Fault::Status(401),
            Self::Slow => Fault::Slow(Duration::from_millis(3)),
            Self::SameToken => Fault::SameToken,
            Self::Crash => Fault::Never(Arc::clone(crashed)),
        }
    }
}

/// A change here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Here {
    Title(u8),
    Status(u8),
    Priority(u8),
    Due(Option<u8>),
    Label(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    let few = 0u8..4;
    prop_oneof![
        3 => Just(Deed::Make),
        4 => few.clone().prop_map(Deed::Title),
        2 => few.clone().prop_map(Deed::Text),
        4 => few.clone().prop_map(Deed::Status),
        2 => few.clone().prop_map(Deed::Priority),
        2 => proptest::option::of(few.clone()).prop_map(Deed::Give),
        2 => proptest::option::of(few.clone()).prop_map(Deed::Due),
        2 => few.prop_map(Deed::Label),
        2 => Just(Deed::Remove),
        1 => Just(Deed::Restore),
        2 => Just(Deed::Spoil),
        1 => Just(Deed::Mend),
    ]
}

/// Often within the same second or minute, seldom much later, sometimes a little before the latest.
fn act() -> impl Strategy<Value = Act> {
    let after_s = prop_oneof![5 => Just(0i64), 2 => 1i64..60, 2 => Just(60i64), 1 => 600i64..20_000, 1 => -100i64..0];
    (0u64..40, deed(), after_s).prop_map(|(n, deed, after_s)| Act { n, deed, after_s })
}

/// While a list is read not much time passes.
fn quick_act() -> impl Strategy<Value = Act> {
    let after_s = prop_oneof![5 => Just(0i64), 3 => 1i64..10, 1 => -100i64..0];
    (0u64..40, deed(), after_s).prop_map(|(n, deed, after_s)| Act { n, deed, after_s })
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        Just(Wrong::Limited),
        Just(Wrong::Error),
        Just(Wrong::Torn),
        Just(Wrong::Half),
        Just(Wrong::LoginPage),
        Just(Wrong::Expired),
        Just(Wrong::Slow),
        Just(Wrong::SameToken),
        Just(Wrong::Crash),
    ]
}

fn here() -> impl Strategy<Value = Here> {
    prop_oneof![
        (0u8..4).prop_map(Here::Title),
        (0u8..5).prop_map(Here::Status),
        (0u8..4).prop_map(Here::Priority),
        proptest::option::of(0u8..4).prop_map(Here::Due),
        (0u8..4).prop_map(Here::Label),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at_once = proptest::collection::vec(quick_act(), 0..5);
    prop_oneof![
        8 => act().prop_map(Step::There),
        4 => proptest::collection::vec(at_once, 1..5).prop_map(Step::Meanwhile),
        4 => (1usize..5, wrong()).prop_map(|(list, wrong)| Step::Wrong(list, wrong)),
        7 => (1usize..4, proptest::option::of(act())).prop_map(|(attempts, between)| Step::Sync { attempts, between }),
        1 => Just(Step::Reconcile),
        2 => (0u64..40, here()).prop_map(|(n, here)| Step::Here(n, here)),
        2 => (0u64..40, proptest::option::weighted(0.3, wrong())).prop_map(|(n, wrong)| Step::Push(n, wrong)),
        2 => prop_oneof![1u64..90, 600u64..20_000].prop_map(|seconds| Step::Later(Duration::from_secs(seconds))),
    ]
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let day = prop_oneof![Just(3_650u16), Just(19_724), Just(20_000), Just(30_000)];
    (day, 1usize..7, proptest::collection::vec(step(), 20..60)).prop_map(|(day, page_size, steps)| Case {
        day,
        page_size,
        steps,
    })
}
