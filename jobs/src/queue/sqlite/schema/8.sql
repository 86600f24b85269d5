-- Version 8: what jobs tell.

CREATE TABLE told (
    entry INTEGER PRIMARY KEY REFERENCES jobs (entry) ON DELETE CASCADE,
    lease TEXT    NOT NULL,           -- of the last attempt that told something
    done  INTEGER,                    -- how far it is
    total INTEGER,                    -- of how much, if that is known
    known INTEGER NOT NULL DEFAULT 0, -- how many lines it has noted
    log   TEXT    NOT NULL            -- the last lines of all attempts, as JSON
) STRICT;
