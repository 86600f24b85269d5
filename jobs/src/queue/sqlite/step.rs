//! What becomes of a job: pure decisions.

use crate::queue::{DeadReason, History, MAX_RECOVERIES, State, Verdict};

/// Where a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Ready,
    Scheduled { run_at_ms: i64 },
    Succeeded,
    Cancelled,
    Dead(DeadReason),
}

impl Goal {
    pub(super) fn state(self) -> State {
        match self {
            Self::Ready => State::Ready,
            Self::Scheduled { .. } => State::Scheduled,
            Self::Succeeded => State::Succeeded,
            Self::Cancelled => State::Cancelled,
            Self::Dead(_) => State::Dead,
        }
    }

    pub(super) fn is_end(self) -> bool {
        !matches!(self, Self::Ready | Self::Scheduled { .. })
    }

    /// A job that somebody asked to stop does not come back; an end of its own stands.
    fn or_cancelled(self, cancel_requested: bool) -> Self {
        if cancel_requested && !self.is_end() { Self::Cancelled } else { self }
    }
}

/// Where a job goes and what its history is then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) goal: Goal,
    pub(super) history: History,
    /// What came of a job that succeeded with a result.
    pub(super) result: Option<serde_json::Value>,
}

impl Step {
    fn to(goal: Goal, history: History) -> Self {
        Self { goal, history, result: None }
    }
}

/// Decides what a verdict makes of a running job.
pub(super) fn settled(mut history: History, cancel_requested: bool, verdict: &Verdict, now_ms: i64) -> Step {
    let later = |delay_ms: u64| Goal::Scheduled { run_at_ms: now_ms.saturating_add_unsigned(delay_ms) };
    let goal = match verdict {
        Verdict::Succeeded => Goal::Succeeded,
        Verdict::SucceededWith { result } => {
            return Step { goal: Goal::Succeeded, history, result: Some(result.clone()) };
        }
        Verdict::Retry { delay_ms, error } => {
            history.failures += 1;
            history.last_error = Some(error.clone());
            history.aside_since_ms = None;
            later(*delay_ms)
        }
        Verdict::Snooze { delay_ms } => {
            history.aside_since_ms = None;
            later(*delay_ms)
        }
        Verdict::SetAside { delay_ms } => {
            history.aside_since_ms.get_or_insert(now_ms);
            later(*delay_ms)
        }
        Verdict::HandBack => return handed_back(history, cancel_requested),
        Verdict::Cancelled { reason } => return cancelled(history, Some(reason)),
        Verdict::Dead { reason, error } => {
            history.failures += u32::from(reason.counts_as_failure());
            history.last_error = Some(error.clone());
            Goal::Dead(*reason)
        }
    };
    Step::to(goal.or_cancelled(cancel_requested), history)
}

/// Decides what becomes of a running job whose worker stops.
pub(super) fn handed_back(mut history: History, cancel_requested: bool) -> Step {
    history.hand_backs += 1;
    Step::to(Goal::Ready.or_cancelled(cancel_requested), history)
}

/// Decides what becomes of a running job whose worker died.
pub(super) fn rescued(mut history: History, cancel_requested: bool) -> Step {
    history.recoveries += 1;
    if cancel_requested {
        return cancelled(history, None);
    }
    if history.recoveries <= MAX_RECOVERIES {
        return Step::to(Goal::Ready, history);
    }
    history.last_error = Some(format!("{} workers died while running this job", history.recoveries));
    Step::to(Goal::Dead(DeadReason::Poison), history)
}

/// Ends a job as not wanted.
pub(super) fn cancelled(mut history: History, reason: Option<&str>) -> Step {
    if let Some(reason) = reason {
        history.last_error = Some(reason.to_owned());
    }
    Step::to(Goal::Cancelled, history)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn verdicts() -> [(Verdict, Goal, History); 8] {
        let zero = History::default();
        let error = || "no route".to_owned();
        let failed = History { failures: 1, last_error: Some(error()), ..zero.clone() };
        let scheduled = |delay: i64| Goal::Scheduled { run_at_ms: NOW_MS + delay };
        [
            (Verdict::Succeeded, Goal::Succeeded, zero.clone()),
            (Verdict::Retry { delay_ms: 5, error: error() }, scheduled(5), failed.clone()),
            (Verdict::Snooze { delay_ms: 6 }, scheduled(6), zero.clone()),
            (Verdict::SetAside { delay_ms: 7 }, scheduled(7), History { aside_since_ms: Some(NOW_MS), ..zero.clone() }),
            (Verdict::HandBack, Goal::Ready, History { hand_backs: 1, ..zero.clone() }),
            (
                Verdict::Cancelled { reason: error() },
                Goal::Cancelled,
                History { last_error: Some(error()), ..zero.clone() },
            ),
            (
                Verdict::Dead { reason: DeadReason::Exhausted, error: error() },
                Goal::Dead(DeadReason::Exhausted),
                failed,
            ),
            (
                Verdict::Dead { reason: DeadReason::Decode, error: error() },
                Goal::Dead(DeadReason::Decode),
                History { last_error: Some(error()), ..zero },
            ),
        ]
    }

    #[test]
    fn each_verdict_has_its_goal_and_moves_its_counter() {
        for (verdict, goal, history) in verdicts() {
            let step = settled(History::default(), false, &verdict, NOW_MS);
            assert_eq!(step, Step::to(goal, history), "{verdict:?}");
        }
    }

    #[test]
    fn a_job_asked_to_stop_never_comes_back_but_keeps_an_end_of_its_own() {
        for (verdict, goal, history) in verdicts() {
            let step = settled(History::default(), true, &verdict, NOW_MS);
            let expected = if goal.is_end() { goal } else { Goal::Cancelled };
            assert_eq!(step, Step::to(expected, history), "{verdict:?}");
        }
    }

    #[test]
    fn set_aside_keeps_the_first_instant_until_a_worker_knew_the_kind() {
        let first = settled(History::default(), false, &Verdict::SetAside { delay_ms: 1 }, NOW_MS).history;
        let second = settled(first, false, &Verdict::SetAside { delay_ms: 1 }, NOW_MS + 500).history;
        assert_eq!(second.aside_since_ms, Some(NOW_MS));
        let known = settled(second, false, &Verdict::Snooze { delay_ms: 1 }, NOW_MS + 900).history;
        assert_eq!(known.aside_since_ms, None);
    }

    #[test]
    fn the_recovery_beyond_the_last_allowed_one_is_poison() {
        for before in 0..6 {
            let step = rescued(History { recoveries: before, ..History::default() }, false);
            let expected = if before < MAX_RECOVERIES { Goal::Ready } else { Goal::Dead(DeadReason::Poison) };
            assert_eq!((step.goal, step.history.recoveries), (expected, before + 1));
        }
        assert_eq!(rescued(History { recoveries: 9, ..History::default() }, true).goal, Goal::Cancelled);
    }

    #[test]
    fn a_delay_beyond_all_time_is_cut() {
        let step = settled(History::default(), false, &Verdict::Snooze { delay_ms: u64::MAX }, NOW_MS);
        assert_eq!(step.goal, Goal::Scheduled { run_at_ms: i64::MAX });
    }
}
