-- One row for each lease that holds. The record is JSON (lease.py).
CREATE TABLE leases (
    pane TEXT PRIMARY KEY,
    lease TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
