-- From where members have signed in of late, under a keyed hash: whoever comes from elsewhere is told of by mail.

CREATE TABLE known_client (
    tenant_id       uuid   NOT NULL DEFAULT (current_setting('app.tenant')::uuid),
    member_id       uuid   NOT NULL,
    client_key      bytea  NOT NULL,
    last_seen_at_ms bigint NOT NULL,
    PRIMARY KEY (tenant_id, member_id, client_key),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX known_client_by_age ON known_client (tenant_id, last_seen_at_ms);
SELECT freehold_protect('known_client');
