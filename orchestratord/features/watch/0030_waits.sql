-- Detached waits: those that go on, and the results of those that ended a while ago.
-- The record is JSON (record.py).
CREATE TABLE waits (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
