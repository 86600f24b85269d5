-- Queues whose jobs are run by programs that work over HTTP. timeout_ms, max_attempts: what jobs of the queue have unless they say
-- otherwise; null for the defaults of the engine.
CREATE TABLE remote_queues (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    timeout_ms INTEGER,
    max_attempts INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Programs that work over HTTP, so that any process of the API can answer them. Whether one lives is told by the queue, not here.
-- owner: the token that registered it. seen_at: its last beat, to the minute. check_at: when a job of it may first be overdue.
CREATE TABLE remote_workers (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    queues TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    check_at TEXT,
    PRIMARY KEY (tenant_id, id)
);

-- Forgetting those that were not seen for long.
CREATE INDEX remote_workers_by_seen ON remote_workers (tenant_id, seen_at);
