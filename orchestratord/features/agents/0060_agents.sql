-- One row for each agent that lives or is still remembered. The record is JSON (record.py);
-- of a token it holds a hash.
CREATE TABLE agents (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
