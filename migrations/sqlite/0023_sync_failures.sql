-- Tickets that a synchronisation could not take, until they can be taken, are gone, or are given up.
-- external_id: what names it in its system, as far as that can be told. tries: how often it was read in vain.
-- next_try_at: when it is asked for once more; null once it is given up.
CREATE TABLE work_order_failures (
    tenant_id TEXT NOT NULL,
    system_id TEXT NOT NULL,
    external_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    tries INTEGER NOT NULL,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    next_try_at TEXT,
    PRIMARY KEY (tenant_id, system_id, external_id),
    FOREIGN KEY (tenant_id, system_id) REFERENCES work_order_systems (tenant_id, id)
);

CREATE INDEX work_order_failures_due ON work_order_failures (tenant_id, system_id, next_try_at);
