//! What is counted of tickets and of runs, under the names that the first users know.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Priority, Status, SystemId};

/// How many tickets there are, of what kind. Those that are gone from their systems do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WorkOrderStatistics)]
pub struct OrderStatistics {
    /// All.
    pub total_count: i64,
    /// Nobody works on them yet.
    pub pending_count: i64,
    /// Somebody works on them.
    pub processing_count: i64,
    /// The cause is gone.
    pub resolved_count: i64,
    /// Nothing more will happen.
    pub closed_count: i64,
    /// They were not wanted.
    pub cancelled_count: i64,
    /// They can wait.
    pub low_priority_count: i64,
    /// As most are.
    pub medium_priority_count: i64,
    /// Soon.
    pub high_priority_count: i64,
    /// Now.
    pub urgent_priority_count: i64,
    /// By the name of their system.
    pub system_stats: BTreeMap<String, i64>,
    /// First read here in the last 7 days.
    pub recent_7_days_count: i64,
    /// Open, and their date has passed.
    pub overdue_count: i64,
    /// Open, and due within 3 days.
    pub upcoming_deadline_count: i64,
    /// Changed here, and the system does not have it.
    pub changed_here_count: i64,
}

impl OrderStatistics {
    /// Adds tickets of one status and one priority.
    pub fn add(&mut self, status: Status, priority: Priority, count: i64) {
        self.total_count += count;
        *match status {
            Status::Pending => &mut self.pending_count,
            Status::Processing => &mut self.processing_count,
            Status::Resolved => &mut self.resolved_count,
            Status::Closed => &mut self.closed_count,
            Status::Cancelled => &mut self.cancelled_count,
        } += count;
        *match priority {
            Priority::Low => &mut self.low_priority_count,
            Priority::Medium => &mut self.medium_priority_count,
            Priority::High => &mut self.high_priority_count,
            Priority::Urgent => &mut self.urgent_priority_count,
        } += count;
    }
}

/// How many runs there were, and how they went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = SyncLogStatistics)]
pub struct LogStatistics {
    /// All that are kept.
    pub total_logs: i64,
    /// Reached the end and stored everything.
    pub success_logs: i64,
    /// Did not reach the end, or could store nothing.
    pub failed_logs: i64,
    /// Reached the end, and some tickets could not be stored.
    pub partial_logs: i64,
    /// Go on.
    pub pending_logs: i64,
    /// Brought one ticket here.
    pub pull_logs: i64,
    /// Took changes there.
    pub update_logs: i64,
    /// Brought tickets here.
    pub sync_logs: i64,
    /// Looked which tickets were gone.
    pub reconcile_logs: i64,
    /// By system, the busiest first.
    pub system_stats: Vec<SystemRuns>,
    /// Those that began in the last 7 days.
    pub recent_7_days: Recent,
    /// Of those that ended, in seconds.
    pub avg_execution_time: f64,
    /// Tickets of all runs.
    pub total_processed: Processed,
}

/// The runs of one system.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SystemRuns {
    /// The system.
    pub system: SystemId,
    /// Its name.
    pub name: String,
    /// All.
    pub total_count: i64,
    /// That went well.
    pub success_count: i64,
    /// That failed.
    pub failed_count: i64,
    /// Of those that ended, in seconds.
    pub avg_execution_time: Option<f64>,
}

/// Runs of the last days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recent {
    /// All.
    pub total: i64,
    /// That went well.
    pub success: i64,
    /// That failed.
    pub failed: i64,
}

/// Tickets that runs read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Processed {
    /// All.
    pub total: i64,
    /// That were stored.
    pub success: i64,
    /// That could not be.
    pub failed: i64,
}

/// How fast and how well the runs of some days went.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PerformanceAnalysis)]
pub struct Performance {
    /// By system, the slowest first.
    pub performance_by_system: Vec<SystemPerformance>,
    /// By day in UTC, the earliest first; days without a run are left out.
    pub daily_trends: Vec<DayTrend>,
    /// How many days were looked at.
    pub analysis_days: u32,
}

/// How fast and how well the runs of one system went. Only runs that ended count.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SystemPerformance {
    /// The system.
    pub system: SystemId,
    /// Its name.
    pub name: String,
    /// In seconds.
    pub avg_execution_time: f64,
    /// In seconds.
    pub max_execution_time: f64,
    /// In seconds.
    pub min_execution_time: f64,
    /// How many runs ended.
    pub total_runs: i64,
    /// How many of a hundred stored everything.
    pub success_rate: f64,
}

/// The runs of one day.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DayTrend {
    /// The day, in UTC.
    pub date: NaiveDate,
    /// How many runs ended that began on it.
    pub total_runs: i64,
    /// How many of them stored everything.
    pub success_runs: i64,
    /// In seconds.
    pub avg_execution_time: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_and_every_priority_has_its_count() {
        let mut all = OrderStatistics::default();
        for &status in Status::ALL {
            for &priority in Priority::ALL {
                all.add(status, priority, 1);
            }
        }
        assert_eq!((all.total_count, all.pending_count, all.cancelled_count), (20, 4, 4));
        assert_eq!((all.low_priority_count, all.urgent_priority_count), (5, 5));
    }
}
