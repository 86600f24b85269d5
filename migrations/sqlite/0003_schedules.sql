-- What is enqueued again and again. last_slot_at is the cursor: slots up to it are dealt with.
-- edited: changed by a person, so the declaration in the configuration no longer counts.
CREATE TABLE schedules (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    args TEXT NOT NULL,
    cron TEXT NOT NULL,
    zone TEXT NOT NULL,
    jitter_ms INTEGER NOT NULL,
    overlap TEXT NOT NULL,
    catch_up TEXT NOT NULL,
    catch_up_max INTEGER NOT NULL,
    enabled BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    paused_until TEXT,
    pause_reason TEXT,
    declared BOOLEAN NOT NULL,
    edited BOOLEAN NOT NULL,
    last_slot_at TEXT NOT NULL,
    next_at TEXT,
    last_job_id TEXT,
    last_error TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    version INTEGER NOT NULL
);

CREATE UNIQUE INDEX schedules_name ON schedules (tenant_id, name);
CREATE UNIQUE INDEX schedules_tenant_id ON schedules (tenant_id, id);
-- The scheduler: what is due.
CREATE INDEX schedules_next ON schedules (next_at) WHERE enabled;

-- One row for each instant at which a schedule was due: whoever writes it enqueues the job.
CREATE TABLE schedule_slots (
    tenant_id TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    slot_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    job_id TEXT,
    created_at TEXT NOT NULL,
    FOREIGN KEY (tenant_id, schedule_id) REFERENCES schedules (tenant_id, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX schedule_slots_slot ON schedule_slots (tenant_id, schedule_id, slot_at);
-- Retention.
CREATE INDEX schedule_slots_created ON schedule_slots (created_at);
