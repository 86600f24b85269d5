-- Version 5: the dead letters by what they do and what they died of, and how often a job was redriven.

ALTER TABLE jobs ADD COLUMN kind TEXT;        -- set while dead, if the payload tells
ALTER TABLE jobs ADD COLUMN fingerprint TEXT; -- of the last error, set while dead
ALTER TABLE jobs ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_dead ON jobs (queue, fingerprint, kind, ended_at_ms) WHERE state = 'dead';
