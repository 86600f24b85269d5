-- Lists of one queue, latest first; without it a rare queue is looked for among all jobs of the tenant.
CREATE INDEX jobs_by_queue ON jobs (tenant_id, queue, id);
-- Most jobs come without a key, and need no entry in the index of keys: what it no longer costs pays for the index above.
DROP INDEX jobs_idempotency;
CREATE UNIQUE INDEX jobs_idempotency ON jobs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Groups of the dead are counted from the index alone.
DROP INDEX jobs_dead_groups;
CREATE INDEX jobs_dead_groups ON jobs (tenant_id, kind, fingerprint, ended_at, id) WHERE state = 'dead';
