-- A run that is read in parts: each by a job of its own, with a position of its own, until the job that closes the run sums them up and
-- removes them. until_at: changes from here on are another part's. closing_job_id: the job that sums up.
CREATE TABLE work_order_sync_parts (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    system_id TEXT NOT NULL,
    log_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    closing_job_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    until_at TEXT,
    status TEXT NOT NULL,
    fetched INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    unmapped INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    position TEXT NOT NULL,
    row_errors TEXT NOT NULL,
    error_message TEXT,
    waits INTEGER NOT NULL DEFAULT 0,
    waiting_since TEXT,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    FOREIGN KEY (tenant_id, system_id) REFERENCES work_order_systems (tenant_id, id)
);

CREATE UNIQUE INDEX work_order_sync_parts_by_log ON work_order_sync_parts (tenant_id, log_id, number);
CREATE INDEX work_order_sync_parts_by_system ON work_order_sync_parts (tenant_id, system_id);
