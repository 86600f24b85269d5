-- What requests with an idempotency key were answered. holder: who asked, kind and id. claim_id: names the request in the audit record.
-- sealed_answer: null while the request is under way; locked_until: until when nobody else may carry it out.
CREATE TABLE idempotency_keys (
    tenant_id TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    claim_id TEXT COLLATE "C" NOT NULL,
    hash TEXT NOT NULL,
    sealed_answer TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    locked_until TIMESTAMPTZ NOT NULL
);

CREATE UNIQUE INDEX idempotency_keys_key ON idempotency_keys (tenant_id, holder, key);
CREATE UNIQUE INDEX idempotency_keys_claim ON idempotency_keys (tenant_id, claim_id);
-- Retention.
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
