-- External systems from which work orders come, and how far each has been read.
-- api_key, password: sealed, or null. settings, mapping: JSON.
CREATE TABLE work_order_systems (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    system_type TEXT NOT NULL,
    api_url TEXT NOT NULL,
    username TEXT,
    api_key TEXT,
    password TEXT,
    is_active BOOLEAN NOT NULL,
    sync_interval BIGINT NOT NULL,
    initial_days BIGINT,
    settings TEXT NOT NULL,
    mapping TEXT NOT NULL,
    cursor_at TIMESTAMPTZ,
    last_sync_at TIMESTAMPTZ,
    last_attempt_at TIMESTAMPTZ,
    failure_streak BIGINT NOT NULL DEFAULT 0,
    blocked_until TIMESTAMPTZ,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX work_order_systems_name ON work_order_systems (tenant_id, name);
-- What rows of a system point to, so that none points into another tenant.
CREATE UNIQUE INDEX work_order_systems_of_tenant ON work_order_systems (tenant_id, id);

-- status: pending | processing | resolved | closed | cancelled; priority: low | medium | high | urgent
-- sync_status: pending | success | failed; tags: JSON
CREATE TABLE work_orders (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    system_id TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    external_key TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    external_status TEXT NOT NULL,
    external_priority TEXT NOT NULL,
    reporter TEXT,
    reporter_email TEXT,
    assignee TEXT,
    assignee_email TEXT,
    reported_at TIMESTAMPTZ NOT NULL,
    due_date TIMESTAMPTZ,
    resolved_at TIMESTAMPTZ,
    category TEXT,
    tags TEXT NOT NULL,
    url TEXT,
    external_updated_at TIMESTAMPTZ,
    content_hash TEXT NOT NULL,
    last_sync_at TIMESTAMPTZ NOT NULL,
    sync_status TEXT NOT NULL,
    sync_error TEXT,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    FOREIGN KEY (tenant_id, system_id) REFERENCES work_order_systems (tenant_id, id)
);

CREATE UNIQUE INDEX work_orders_external ON work_orders (tenant_id, system_id, external_id);
-- Lists, latest first, by what they are filtered.
CREATE INDEX work_orders_by_time ON work_orders (tenant_id, reported_at, id);
CREATE INDEX work_orders_by_status ON work_orders (tenant_id, status, reported_at, id);
CREATE INDEX work_orders_by_priority ON work_orders (tenant_id, priority, reported_at, id);
CREATE INDEX work_orders_by_system ON work_orders (tenant_id, system_id, reported_at, id);

-- One row per run, whatever number of attempts the job of the run takes.
-- sync_type: sync | pull | update; status: pending | success | partial | failed; position, row_errors: JSON
CREATE TABLE work_order_sync_logs (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    system_id TEXT COLLATE "C" NOT NULL,
    job_id TEXT COLLATE "C" NOT NULL,
    sync_type TEXT NOT NULL,
    status TEXT NOT NULL,
    fetched BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL DEFAULT 0,
    updated BIGINT NOT NULL DEFAULT 0,
    unchanged BIGINT NOT NULL DEFAULT 0,
    failed BIGINT NOT NULL DEFAULT 0,
    pages BIGINT NOT NULL DEFAULT 0,
    position TEXT NOT NULL,
    row_errors TEXT NOT NULL,
    error_message TEXT,
    waits BIGINT NOT NULL DEFAULT 0,
    waiting_since TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    execution_time_ms BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    FOREIGN KEY (tenant_id, system_id) REFERENCES work_order_systems (tenant_id, id)
);

-- A run is found again by the next attempt of its job.
CREATE UNIQUE INDEX work_order_sync_logs_job ON work_order_sync_logs (tenant_id, job_id);
CREATE INDEX work_order_sync_logs_by_time ON work_order_sync_logs (tenant_id, id);
CREATE INDEX work_order_sync_logs_by_system ON work_order_sync_logs (tenant_id, system_id, id);
CREATE INDEX work_order_sync_logs_by_status ON work_order_sync_logs (tenant_id, status, id);
