-- A password that was accepted while nobody could say whether it was breached: since when.

ALTER TABLE member ADD COLUMN password_unchecked_at_ms bigint;
SELECT freehold_protect('member');
