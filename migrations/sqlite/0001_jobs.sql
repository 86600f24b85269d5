-- The outbox row of a job, which stays as its ledger.
-- ended_through: an ending that is not later than this was seen before, so it says nothing of a job that was redriven.
-- state: pending (waits here) | pushed (the queue has it) | succeeded | dead | cancelled
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    args TEXT NOT NULL,
    options TEXT NOT NULL,
    headers TEXT NOT NULL,
    run_at TEXT NOT NULL,
    state TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    recoveries INTEGER NOT NULL DEFAULT 0,
    hand_backs INTEGER NOT NULL DEFAULT 0,
    dead_reason TEXT,
    last_error TEXT,
    worker TEXT,
    started_at TEXT,
    ended_at TEXT,
    ended_through TEXT,
    duration_ms INTEGER,
    created_at TEXT NOT NULL,
    pushed_at TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    idempotency_key TEXT,
    idempotency_hash TEXT
);

-- The relay: what is due.
CREATE INDEX jobs_pending ON jobs (run_at, id) WHERE state = 'pending';
-- The reconciler: what the queue has had for long.
CREATE INDEX jobs_pushed ON jobs (pushed_at, id) WHERE state = 'pushed';
-- Retention.
CREATE INDEX jobs_ended ON jobs (ended_at, id) WHERE ended_at IS NOT NULL;
-- Lists, latest first: an id begins with its time.
CREATE INDEX jobs_by_tenant ON jobs (tenant_id, id);
CREATE INDEX jobs_by_state ON jobs (tenant_id, state, id);
CREATE INDEX jobs_by_kind ON jobs (tenant_id, kind, id);
CREATE UNIQUE INDEX jobs_idempotency ON jobs (tenant_id, idempotency_key);
