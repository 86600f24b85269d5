-- A run that is read in parts: each by a job of its own, with a position of its own, until the job that closes the run sums them up and
-- removes them. until_at: changes from here on are another part's. closing_job_id: the job that sums up.
CREATE TABLE work_order_sync_parts (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    system_id TEXT COLLATE "C" NOT NULL,
    log_id TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C" NOT NULL,
    closing_job_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    until_at TIMESTAMPTZ,
    status TEXT NOT NULL,
    fetched BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    unchanged BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    deleted BIGINT NOT NULL DEFAULT 0,
    unmapped BIGINT NOT NULL DEFAULT 0,
    pages BIGINT NOT NULL DEFAULT 0,
    position TEXT NOT NULL,
    row_errors TEXT NOT NULL,
    error_message TEXT,
    waits BIGINT NOT NULL DEFAULT 0,
    waiting_since TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    version BIGINT NOT NULL DEFAULT 1,
    FOREIGN KEY (tenant_id, system_id) REFERENCES work_order_systems (tenant_id, id)
);

CREATE UNIQUE INDEX work_order_sync_parts_by_log ON work_order_sync_parts (tenant_id, log_id, number);
CREATE INDEX work_order_sync_parts_by_system ON work_order_sync_parts (tenant_id, system_id);
