-- A new master key: what an older one has sealed is sealed anew in its place, and the check of a key that seals nothing any
-- more goes. Root keys may be changed already.

GRANT UPDATE (master_key_id, sealed) ON keys.acme_account TO freehold_app;
GRANT UPDATE (master_key_id, key_sealed) ON keys.acme_certificate TO freehold_app;
GRANT DELETE ON keys.master_check TO freehold_app;
