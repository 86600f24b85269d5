-- unmapped: words for status or priority that no rule knew; deleted: tickets found to be gone from the system.
ALTER TABLE work_order_sync_logs ADD COLUMN unmapped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE work_order_sync_logs ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0;
-- How the runs of some days went.
CREATE INDEX work_order_sync_logs_by_begin ON work_order_sync_logs (tenant_id, started_at);
