-- The maintenance calendar: times in which schedules rest. Either one span (starts_at to ends_at), or again and again: whenever the
-- crontab line says, for duration_ms; then starts_at and ends_at bound the openings.
-- schedules, kinds: JSON lists of what it covers; both empty: everything.
CREATE TABLE freeze_windows (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    reason TEXT NOT NULL,
    starts_at TIMESTAMPTZ,
    ends_at TIMESTAMPTZ,
    cron TEXT,
    zone TEXT,
    duration_ms BIGINT,
    schedules TEXT NOT NULL,
    kinds TEXT NOT NULL,
    policy TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL
);

CREATE UNIQUE INDEX freeze_windows_name ON freeze_windows (tenant_id, name);

-- declaration: what the configuration says, so that an edited schedule can go back to it.
-- held_slot_at: the one slot that waits, until held_until or, without it, until the job before it has ended.
ALTER TABLE schedules ADD COLUMN declaration TEXT;
ALTER TABLE schedules ADD COLUMN held_slot_at TIMESTAMPTZ;
ALTER TABLE schedules ADD COLUMN held_until TIMESTAMPTZ;

-- freeze_window: the name of the window that skipped or deferred the slot.
ALTER TABLE schedule_slots ADD COLUMN freeze_window TEXT;
ALTER TABLE schedule_slots ADD COLUMN deferred_until TIMESTAMPTZ;
