-- The batch that a job is a member of: the id of the job that closes it, which waits until all members have ended.
ALTER TABLE jobs ADD COLUMN batch TEXT COLLATE "C";
-- The members of a batch: lists, latest first, and how they ended.
CREATE INDEX jobs_by_batch ON jobs (tenant_id, batch, id) WHERE batch IS NOT NULL;
-- Whether a batch has members left, which is asked at each end of one.
CREATE INDEX jobs_left_of_batch ON jobs (batch) WHERE batch IS NOT NULL AND state IN ('waiting', 'pending', 'pushed');
-- The batches that are open.
CREATE INDEX jobs_waiting ON jobs (id) WHERE state = 'waiting';
