-- Tokens of programs; only the hash is kept.
CREATE TABLE api_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    scopes TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ
);

CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (tenant_id, name);
