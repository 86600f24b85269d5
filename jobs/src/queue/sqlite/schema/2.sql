-- Version 2: what binds jobs to each other.

ALTER TABLE jobs ADD COLUMN group_key TEXT;
ALTER TABLE jobs ADD COLUMN batch TEXT;
