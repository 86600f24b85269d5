-- Version 3: what came of jobs, and how many finished ones stay.

ALTER TABLE jobs ADD COLUMN result TEXT; -- JSON, set once succeeded with a result
ALTER TABLE queues ADD COLUMN retained INTEGER NOT NULL DEFAULT 0; -- finished jobs, if the store retains them
