-- One row for each session, window and pane that is alive or still remembered.
-- The record is JSON (record.py); what is selected by stands beside it.
CREATE TABLE terminals (
    id TEXT PRIMARY KEY,
    noun TEXT NOT NULL CHECK (noun IN ('session', 'window', 'pane')),
    ended INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Creations that were begun. A row left over after a crash is resolved by
-- looking for its pane's stamp in tmux.
CREATE TABLE intents (
    pane TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
