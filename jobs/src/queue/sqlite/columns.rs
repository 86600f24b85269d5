//! Pieces of SQL that several statements share; macros, because `concat!` takes nothing else.

/// The store's now: the system's clock, read in this one place, plus what a test has added.
macro_rules! now_ms {
    () => {
        "(SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + clock_shift_ms FROM store)"
    };
}

/// A [`History`](crate::queue::History), its fields in their order, as one column: a row costs by its columns.
macro_rules! history {
    () => {
        "json_array(failures, recoveries, hand_backs, aside_since_ms, last_error, generation, json(totals))"
    };
}

/// The columns of [`Stored`](super::record::Stored) but the payload.
macro_rules! stored {
    () => {
        concat!(
            "id, queue, state, priority, group_key, batch, run_at_ms, worker, claimed_at_ms, lease, dead_reason, ended_at_ms, result, \
             (SELECT json_array(iif(jobs.lease IS NULL OR jobs.lease = told.lease, done, NULL), total, log) FROM told \
              WHERE told.entry = jobs.entry) AS told, ",
            $crate::queue::sqlite::columns::history!(),
            " AS history"
        )
    };
}

/// Selects all jobs of a query, as [`Held`](super::apply::Held), in one value. One row for a hundred jobs: rows of their own
/// would pass between threads one by one, which costs more than finding them.
macro_rules! held {
    ($at:literal, $from:literal) => {
        concat!(
            "SELECT json_group_array(json_array(",
            $at,
            ", entry, queue, state, lease, json(iif(cancel_requested, 'true', 'false')), batch, ",
            "json(iif(group_key IS NULL, 'false', 'true')), ",
            $crate::queue::sqlite::columns::history!(),
            ")) FROM ",
            $from
        )
    };
}

pub(super) use {held, history, now_ms, stored};
