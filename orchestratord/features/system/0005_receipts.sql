-- Calls with idempotency keys. ids is null while the call runs, and stays so if it was
-- never settled; whole says that ids are the entire result. Never parameters or output.
CREATE TABLE receipts (
    uid         INTEGER NOT NULL,
    key         TEXT NOT NULL,
    method      TEXT NOT NULL,
    params_hash TEXT NOT NULL,
    at          TEXT NOT NULL,
    ids         TEXT,
    whole       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_at ON receipts (at);
