-- Which error a job died of, without what differs from job to job: the dead are counted and redriven by it.
ALTER TABLE jobs ADD COLUMN fingerprint TEXT;
CREATE INDEX jobs_dead_groups ON jobs (tenant_id, kind, fingerprint) WHERE state = 'dead';
