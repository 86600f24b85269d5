-- Version 7: limits of queues and groups, and turns of priorities.

ALTER TABLE queues ADD COLUMN concurrency INTEGER;                 -- how many may run at once; NULL for as many as workers take
ALTER TABLE queues ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;    -- how many jobs each priority has let pass, packed
ALTER TABLE queues ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;  -- how many of the ready jobs are limited

-- 1 while a ready job stands aside because its group might not start one when a claim met it. It keeps its place.
ALTER TABLE jobs ADD COLUMN limited INTEGER NOT NULL DEFAULT 0;

CREATE TABLE groups (
    queue    TEXT    NOT NULL REFERENCES queues (name),
    key      TEXT    NOT NULL,
    pushed   TEXT    NOT NULL DEFAULT '{}', -- Limits as JSON: what the latest job with limits said
    pinned   TEXT,                          -- what an operator said, which counts instead
    waiting  INTEGER NOT NULL DEFAULT 0,    -- the counts are kept by the triggers below
    running  INTEGER NOT NULL DEFAULT 0,
    dead     INTEGER NOT NULL DEFAULT 0,
    limited  INTEGER NOT NULL DEFAULT 0,
    parts    INTEGER NOT NULL DEFAULT 0,    -- parts of tokens as of at_ms
    at_ms    INTEGER NOT NULL DEFAULT 0,
    full_ms  INTEGER NOT NULL DEFAULT 0,    -- from then on the tokens need not be remembered
    token_ms INTEGER,                       -- set while limited jobs wait for a token
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX groups_token ON groups (queue, token_ms) WHERE token_ms IS NOT NULL;
CREATE INDEX groups_idle ON groups (full_ms) WHERE waiting + running + dead = 0 AND pinned IS NULL;
INSERT INTO groups (queue, key, waiting, running, dead)
    SELECT queue, group_key, sum(state IN ('ready', 'scheduled')), sum(state = 'running'), sum(state = 'dead') FROM jobs
    WHERE group_key IS NOT NULL AND state NOT IN ('succeeded', 'cancelled') GROUP BY queue, group_key;

DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (queue, priority, place) WHERE state = 'ready' AND limited = 0;
CREATE INDEX jobs_limited ON jobs (queue, priority, place) WHERE limited = 1;
CREATE INDEX jobs_limited_group ON jobs (queue, group_key, priority, place) WHERE limited = 1;

CREATE TRIGGER jobs_group_arrive AFTER INSERT ON jobs WHEN NEW.group_key IS NOT NULL BEGIN
    INSERT INTO groups (queue, key, waiting) VALUES (NEW.queue, NEW.group_key, 1)
        ON CONFLICT (queue, key) DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER jobs_group_move AFTER UPDATE OF state ON jobs WHEN NEW.group_key IS NOT NULL AND OLD.state <> NEW.state BEGIN
    UPDATE groups SET
        waiting = waiting + (NEW.state IN ('ready', 'scheduled')) - (OLD.state IN ('ready', 'scheduled')),
        running = running + (NEW.state = 'running') - (OLD.state = 'running'),
        dead = dead + (NEW.state = 'dead') - (OLD.state = 'dead')
    WHERE queue = NEW.queue AND key = NEW.group_key;
    UPDATE jobs SET limited = 0 WHERE entry = NEW.entry AND limited = 1 AND state <> 'ready';
END;
CREATE TRIGGER jobs_group_go AFTER DELETE ON jobs
WHEN OLD.group_key IS NOT NULL AND OLD.state NOT IN ('succeeded', 'cancelled') BEGIN
    UPDATE groups SET
        waiting = waiting - (OLD.state IN ('ready', 'scheduled')),
        running = running - (OLD.state = 'running'),
        dead = dead - (OLD.state = 'dead'),
        limited = limited - OLD.limited
    WHERE queue = OLD.queue AND key = OLD.group_key;
    UPDATE queues SET limited = limited - OLD.limited WHERE name = OLD.queue AND OLD.limited = 1;
END;
CREATE TRIGGER jobs_limit AFTER UPDATE OF limited ON jobs WHEN OLD.limited <> NEW.limited BEGIN
    UPDATE groups SET limited = limited + NEW.limited - OLD.limited WHERE queue = NEW.queue AND key = NEW.group_key;
    UPDATE queues SET limited = limited + NEW.limited - OLD.limited WHERE name = NEW.queue;
END;

-- Whatever leaves a slot, or leaves the line unclaimed, lets the next claim meet the first limited jobs of its group, one of each
-- priority: it goes on from there as long as the group is open.
CREATE TRIGGER jobs_group_open AFTER UPDATE OF state ON jobs
WHEN NEW.group_key IS NOT NULL AND NEW.state <> 'running' AND OLD.state IN ('running', 'ready') BEGIN
    UPDATE jobs SET limited = 0 WHERE entry IN (
        SELECT (SELECT entry FROM jobs WHERE limited = 1 AND queue = NEW.queue AND group_key = NEW.group_key
                AND priority = ranks.column1 ORDER BY place LIMIT 1)
        FROM (VALUES (0), (1), (2), (3)) AS ranks);
END;
CREATE TRIGGER jobs_group_open_go AFTER DELETE ON jobs
WHEN OLD.group_key IS NOT NULL AND OLD.state IN ('running', 'ready') BEGIN
    UPDATE jobs SET limited = 0 WHERE entry IN (
        SELECT (SELECT entry FROM jobs WHERE limited = 1 AND queue = OLD.queue AND group_key = OLD.group_key
                AND priority = ranks.column1 ORDER BY place LIMIT 1)
        FROM (VALUES (0), (1), (2), (3)) AS ranks);
END;
