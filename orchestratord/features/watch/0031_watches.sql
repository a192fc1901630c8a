-- Watches, where each has looked in each pane, what they found and did, and the
-- panes that one of them keeps from being killed by another. Records are JSON.
CREATE TABLE watches (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE watch_places (
    watch TEXT NOT NULL,
    pane TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (watch, pane)
) STRICT, WITHOUT ROWID;

CREATE TABLE watch_history (
    id INTEGER PRIMARY KEY,
    watch TEXT NOT NULL,
    done INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE INDEX watch_history_of ON watch_history (watch, id);
CREATE INDEX watch_history_open ON watch_history (done) WHERE done = 0;

CREATE TABLE watch_kept (
    pane TEXT PRIMARY KEY,
    watch TEXT NOT NULL
) STRICT, WITHOUT ROWID;
