-- A new master key: on PostgreSQL the server's role may seal anew what an older one has sealed. Here it may already.

PRAGMA user_version = 23;
