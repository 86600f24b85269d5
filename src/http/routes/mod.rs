//! The routes of the engine itself: jobs, dead letters, queues, workers, schedules, freeze windows, and work over
//! HTTP.

pub(super) mod audit;
pub(super) mod bulk;
pub(super) mod dead;
pub(super) mod freezes;
pub(super) mod jobs;
pub(super) mod queues;
pub(super) mod remote_queues;
pub(super) mod schedule_edit;
pub(super) mod schedule_view;
pub(super) mod schedules;
pub(super) mod work;
pub(super) mod workers;
