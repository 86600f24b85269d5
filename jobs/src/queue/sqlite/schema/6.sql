-- Version 6: batches that have not closed.

CREATE TABLE batches (
    id           TEXT PRIMARY KEY,
    queue        TEXT    NOT NULL REFERENCES queues (name),
    opened_at_ms INTEGER NOT NULL,
    sealed       INTEGER NOT NULL DEFAULT 0,
    stopped      INTEGER NOT NULL DEFAULT 0, -- somebody cancelled it
    total        INTEGER NOT NULL DEFAULT 0,
    succeeded    INTEGER NOT NULL DEFAULT 0,
    dead         INTEGER NOT NULL DEFAULT 0,
    cancelled    INTEGER NOT NULL DEFAULT 0,
    then_id      BLOB    NOT NULL,           -- the closing job: its id,
    then_payload BLOB    NOT NULL,           -- its envelope
    then_run_at_ms INTEGER                   -- and when it is due
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_of ON batches (queue, id);

-- `batch` of a job is set as long as the batch waits for its end.
CREATE INDEX jobs_batch ON jobs (batch) WHERE batch IS NOT NULL;
ALTER TABLE jobs ADD COLUMN totals TEXT; -- of a closing job: BatchTotals as JSON
