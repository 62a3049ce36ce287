-- Deactivated members are looked for every minute, by when they were deactivated.

CREATE INDEX member_by_deactivation ON member (tenant_id, deactivated_at_ms) WHERE deactivated_at_ms IS NOT NULL;
