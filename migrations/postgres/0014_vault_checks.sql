-- A known text, sealed under each key that this database has texts under: a process that cannot open all of them has the wrong keys.
-- It belongs to the whole installation, as its keys do, and to no tenant.
CREATE TABLE vault_checks (
    key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);
