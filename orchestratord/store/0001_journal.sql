-- "orch": the file says whose it is, so that another program's is never taken for ours.
PRAGMA application_id = 1869767528;

-- Every event, by its number. The newest row always stays, so that the head is max(seq).
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    session TEXT,
    pane    TEXT,
    agent   TEXT,
    data    TEXT NOT NULL
) STRICT;

-- The last number given out of each noun. 'floor' is the oldest event that can be resumed at.
CREATE TABLE counters (
    noun  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
