-- Version 4: unique keys that hold for a time.

ALTER TABLE jobs ADD COLUMN key_until_ms INTEGER; -- from this instant on another job may take the unique key over
