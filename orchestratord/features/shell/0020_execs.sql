-- Commands given to shells that have not ended, so that a later daemon finds their end.
-- The record is JSON (run.py); it holds the command only until the shell has begun it.
CREATE TABLE execs (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
