-- How often a job was redriven from among the dead.
ALTER TABLE jobs ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
