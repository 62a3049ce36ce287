-- A sign-in at a provider may begin at a custom domain, and comes home to it.

ALTER TABLE oauth_state ADD COLUMN home TEXT;

PRAGMA user_version = 19;
