-- The job that was last asked to run a system: while it has not ended, whoever asks again gets it and not a second one.
ALTER TABLE work_order_systems ADD COLUMN asked_job_id TEXT COLLATE "C";
