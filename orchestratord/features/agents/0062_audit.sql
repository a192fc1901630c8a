-- What was noted of calls, each row chained to the one before by its hash (chain.py).
-- Rows are added and, from the oldest on, deleted; never changed.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    agent TEXT,
    pane TEXT,
    method TEXT NOT NULL,
    thing TEXT,
    result TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

-- The last row that was deleted: where the chain begins now.
CREATE TABLE audit_checkpoint (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
