-- The layout of queue.db, version 1. Times are milliseconds since 1970.

-- One row: what is counted over the whole store.
CREATE TABLE store (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    places         INTEGER NOT NULL DEFAULT 0, -- the last place in the order of arrival that was given away
    leases         INTEGER NOT NULL DEFAULT 0, -- the last lease that was given away
    clock_shift_ms INTEGER NOT NULL DEFAULT 0  -- for tests: how far this store's now is from the system's
) STRICT;
INSERT INTO store (one) VALUES (1);

-- The counts of states are kept by the triggers below, the totals by the statements that cause them.
CREATE TABLE queues (
    name            TEXT PRIMARY KEY,
    paused          INTEGER NOT NULL DEFAULT 0,
    ready           INTEGER NOT NULL DEFAULT 0,
    scheduled       INTEGER NOT NULL DEFAULT 0,
    running         INTEGER NOT NULL DEFAULT 0,
    dead            INTEGER NOT NULL DEFAULT 0,
    pushed_total    INTEGER NOT NULL DEFAULT 0,
    succeeded_total INTEGER NOT NULL DEFAULT 0,
    failed_total    INTEGER NOT NULL DEFAULT 0,
    recovered_total INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    id         TEXT PRIMARY KEY,
    info       TEXT NOT NULL,   -- WorkerInfo as JSON
    expires_ms INTEGER NOT NULL -- from this instant on the worker is dead
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    entry            INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    queue            TEXT    NOT NULL REFERENCES queues (name),
    state            TEXT    NOT NULL,
    priority         INTEGER NOT NULL,           -- rank: 0 is the most urgent
    place            INTEGER NOT NULL,           -- order of arrival among the ready; kept while a job runs
    run_at_ms        INTEGER,                    -- set while scheduled
    worker           TEXT,                       -- who has it, or had it last
    lease            TEXT,                       -- set while running
    claimed_at_ms    INTEGER,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    failures         INTEGER NOT NULL DEFAULT 0,
    recoveries       INTEGER NOT NULL DEFAULT 0,
    hand_backs       INTEGER NOT NULL DEFAULT 0,
    aside_since_ms   INTEGER,
    last_error       TEXT,
    dead_reason      TEXT,
    ended_at_ms      INTEGER,                    -- set once succeeded, dead or cancelled
    ending           INTEGER NOT NULL DEFAULT 0, -- 1 while the record of the end waits to be fetched
    unique_key       TEXT,
    unique_until     TEXT,
    holds_key        INTEGER NOT NULL DEFAULT 0, -- 1 while no other job of the key may come
    payload          BLOB                        -- gone once succeeded or cancelled
) STRICT;

-- One index per question, each over the rows of its state only, so that a job is never in more than it needs.
CREATE INDEX jobs_ready ON jobs (queue, priority, place) WHERE state = 'ready';
CREATE INDEX jobs_scheduled ON jobs (queue, run_at_ms, place) WHERE state = 'scheduled';
CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (queue, state, ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX jobs_ending ON jobs (ended_at_ms) WHERE ending = 1;
CREATE UNIQUE INDEX jobs_unique ON jobs (queue, unique_key) WHERE holds_key = 1;

-- Triggers, so that no statement can change a state and forget its count.
CREATE TRIGGER jobs_arrive AFTER INSERT ON jobs BEGIN
    UPDATE queues SET
        pushed_total = pushed_total + 1,
        ready = ready + (NEW.state = 'ready'),
        scheduled = scheduled + (NEW.state = 'scheduled')
    WHERE name = NEW.queue;
END;
CREATE TRIGGER jobs_move AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state BEGIN
    UPDATE queues SET
        ready = ready + (NEW.state = 'ready') - (OLD.state = 'ready'),
        scheduled = scheduled + (NEW.state = 'scheduled') - (OLD.state = 'scheduled'),
        running = running + (NEW.state = 'running') - (OLD.state = 'running'),
        dead = dead + (NEW.state = 'dead') - (OLD.state = 'dead')
    WHERE name = NEW.queue;
END;
CREATE TRIGGER jobs_go AFTER DELETE ON jobs WHEN OLD.state NOT IN ('succeeded', 'cancelled') BEGIN
    UPDATE queues SET
        ready = ready - (OLD.state = 'ready'),
        scheduled = scheduled - (OLD.state = 'scheduled'),
        running = running - (OLD.state = 'running'),
        dead = dead - (OLD.state = 'dead')
    WHERE name = OLD.queue;
END;
