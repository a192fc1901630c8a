-- Deliveries that have not ended, and the last ones that have. The record is JSON (record.py);
-- it holds the text only while the delivery waits for its turn.
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
