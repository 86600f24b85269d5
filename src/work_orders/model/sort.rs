//! In which order tickets are listed.

use super::words::words;

words!(
    /// In which order work orders are listed; with a minus the other way round. Those without a date come last, either way.
    #[schema(as = TicketOrder)]
    Sort, "sort" {
        /// The earliest reported first.
        #[serde(rename = "created")]
        Created = "created",
        /// The latest reported first.
        #[serde(rename = "-created")]
        CreatedDown = "-created",
        /// The one first that has not changed here for longest.
        #[serde(rename = "updated")]
        Updated = "updated",
        /// What changed last first.
        #[serde(rename = "-updated")]
        UpdatedDown = "-updated",
        /// The first due first.
        #[serde(rename = "due")]
        Due = "due",
        /// The last due first.
        #[serde(rename = "-due")]
        DueDown = "-due",
        /// The least urgent first.
        #[serde(rename = "priority")]
        Priority = "priority",
        /// The most urgent first.
        #[serde(rename = "-priority")]
        PriorityDown = "-priority",
    }
);
