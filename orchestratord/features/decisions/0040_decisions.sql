-- One row for each decision that is open or still remembered. The record is the
-- JSON of model.Decision.
CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
