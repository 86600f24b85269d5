-- What is enqueued again and again. last_slot_at is the cursor: slots up to it are dealt with.
-- edited: changed by a person, so the declaration in the configuration no longer counts.
CREATE TABLE schedules (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    args TEXT NOT NULL,
    cron TEXT NOT NULL,
    zone TEXT NOT NULL,
    jitter_ms BIGINT NOT NULL,
    overlap TEXT NOT NULL,
    catch_up TEXT NOT NULL,
    catch_up_max BIGINT NOT NULL,
    enabled BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    paused_until TIMESTAMPTZ,
    pause_reason TEXT,
    declared BOOLEAN NOT NULL,
    edited BOOLEAN NOT NULL,
    last_slot_at TIMESTAMPTZ NOT NULL,
    next_at TIMESTAMPTZ,
    last_job_id TEXT COLLATE "C",
    last_error TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL
);

CREATE UNIQUE INDEX schedules_name ON schedules (tenant_id, name);
CREATE UNIQUE INDEX schedules_tenant_id ON schedules (tenant_id, id);
-- The scheduler: what is due.
CREATE INDEX schedules_next ON schedules (next_at) WHERE enabled;

-- One row for each instant at which a schedule was due: whoever writes it enqueues the job.
CREATE TABLE schedule_slots (
    tenant_id TEXT COLLATE "C" NOT NULL,
    schedule_id TEXT COLLATE "C" NOT NULL,
    slot_at TIMESTAMPTZ NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    job_id TEXT COLLATE "C",
    created_at TIMESTAMPTZ NOT NULL,
    FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedules (tenant_id, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX schedule_slots_slot ON schedule_slots (tenant_id, schedule_id, slot_at);
-- Retention.
CREATE INDEX schedule_slots_created ON schedule_slots (created_at);
