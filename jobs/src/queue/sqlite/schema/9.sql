-- Version 9: since when a job is ready. NULL for one that was ready when it was pushed: then the time in its id.

ALTER TABLE jobs ADD COLUMN ready_since_ms INTEGER;
