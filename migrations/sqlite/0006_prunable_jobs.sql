-- Retention walks the jobs that may go, oldest first; the index of all ended ones led it past every dead job each time.
DROP INDEX jobs_ended;
CREATE INDEX jobs_prunable ON jobs (ended_at, id) WHERE state IN ('succeeded', 'cancelled');
