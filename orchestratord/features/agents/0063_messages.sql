-- One row for each message that is known. The record is JSON (letter.py); that of a message
-- which was acknowledged or has expired has no text any more.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    recipient TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
