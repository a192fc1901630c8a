"""What deliveries look like on the wire."""

from __future__ import annotations

from typing import Literal

from orchestratord.model import Result

DeliveryState = Literal[
    "queued", "pasted", "submitted", "confirmed", "unknown", "refused", "cancelled"
]
Arrival = Literal["echo", "change", "quiet"]
Evidence = Literal["command", "prompt", "read", "mode", "left", "output"]
Reason = Literal[
    "draft", "busy", "lease", "secret", "line", "input_off", "gone",
    "unread", "typed", "standing", "new_line", "silent", "tmux", "restart",
]  # fmt: skip


class Delivery(Result, frozen=True, kw_only=True):
    """What became of a text. ``ended_at`` is null while anything is still to come.

    ``arrival`` says by what the text was seen to have arrived before Enter was pressed:
    ``echo`` (it stands on the screen), ``change`` (the screen around the cursor changed),
    ``quiet`` (nothing more came for a while). ``evidence`` says by what a confirmed
    delivery is known to be taken: ``command`` (the shell began to run it), ``prompt`` (the
    shell has prompted anew), ``read`` (the program has read the line), ``mode`` (it switched
    the terminal's mode), ``left`` (the text left the input line), ``output`` (it printed
    something). ``enters`` is how often Enter was pressed. ``reason`` says why the state is
    ``unknown`` or ``refused``, or what a queued delivery waits for: ``unread`` (the program
    does not read), ``typed`` (somebody else typed in between), ``standing`` (the text still
    stands in the input line), ``new_line`` (the cursor went below it, and nothing else
    happened), ``silent`` (nothing was seen), ``gone``, ``draft``, ``busy``, ``lease``,
    ``secret``, ``line`` (longer than the program can read), ``input_off`` (by somebody at a
    terminal), ``tmux`` (tmux went away
    meanwhile), ``restart`` (this daemon did).
    """

    delivery: str
    pane: str
    state: DeliveryState
    size: int
    arrival: Arrival | None
    evidence: Evidence | None
    reason: Reason | None
    enters: int
    created_at: str
    ended_at: str | None
