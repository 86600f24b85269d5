//! The routes of the engine itself: jobs, dead letters, queues, workers, schedules.

pub(super) mod audit;
pub(super) mod dead;
pub(super) mod jobs;
pub(super) mod queues;
pub(super) mod schedules;
pub(super) mod workers;
