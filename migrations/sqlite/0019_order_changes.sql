-- exchange: what stands between a ticket and its system, as JSON, or null if both say the same and nothing is remembered.
-- has_changes: whether something was changed here that the system does not have. deleted_at: when it was found to be gone there.
ALTER TABLE work_orders ADD COLUMN exchange TEXT;
ALTER TABLE work_orders ADD COLUMN has_changes BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE work_orders ADD COLUMN deleted_at TEXT;

CREATE INDEX work_orders_by_change ON work_orders (tenant_id, updated_at, id);
-- What is late, or soon will be.
CREATE INDEX work_orders_by_due_date ON work_orders (tenant_id, due_date, id);
CREATE INDEX work_orders_with_changes ON work_orders (tenant_id, reported_at, id) WHERE has_changes;
