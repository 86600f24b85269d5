-- Who changed what: a chain per tenant, in which each entry bears the hash of the one before it. Rows are only ever added.
-- before_json, after_json: JSON without secrets, or null. claim_id: the request's idempotency claim, if it had one.
CREATE TABLE audit_log (
    tenant_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    actor_name TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    claim_id TEXT,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT,
    reason TEXT,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE UNIQUE INDEX audit_log_seq ON audit_log (tenant_id, seq);
CREATE INDEX audit_log_by_object ON audit_log (tenant_id, object_kind, object_id, seq);
CREATE INDEX audit_log_by_action ON audit_log (tenant_id, action, seq);
CREATE INDEX audit_log_by_actor ON audit_log (tenant_id, actor_name, seq);
CREATE INDEX audit_log_by_claim ON audit_log (tenant_id, claim_id) WHERE claim_id IS NOT NULL;

-- The last entry of each chain; its row is the lock under which entries are added.
CREATE TABLE audit_heads (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
);

CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit record is append-only');
END;

CREATE TRIGGER audit_log_not_emptied BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit record is append-only');
END;
