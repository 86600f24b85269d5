-- What came of a job, how far its last attempt was, and what its attempts noted: JSON, known once it has ended.
ALTER TABLE jobs ADD COLUMN result TEXT;
ALTER TABLE jobs ADD COLUMN progress TEXT;
ALTER TABLE jobs ADD COLUMN log TEXT;
