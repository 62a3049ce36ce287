-- Deactivated members are looked for every minute, by when they were deactivated.

CREATE INDEX member_by_deactivation ON member (deactivated_at_ms) WHERE deactivated_at_ms IS NOT NULL;

PRAGMA user_version = 14;
