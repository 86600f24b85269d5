-- Tokens of programs; only the hash is kept.
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_used_at TEXT,
    expires_at TEXT
);

CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (tenant_id, name);
