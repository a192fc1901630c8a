"""A pane's output as an asciicast v2 recording, which asciinema and its players take.

Format: https://docs.asciinema.org/manual/asciicast/v2/. Pure; who calls it reads
the bytes, knows their times, and writes the lines.
"""

from __future__ import annotations

import codecs
import heapq
from collections.abc import Iterable, Iterator

import msgspec

from orchestratord.features.panes.text import visible

Resize = tuple[float, int, int]


def asciicast(
    width: int,
    height: int,
    title: str,
    started_at: float,
    chunks: Iterable[tuple[float, bytes]],
    resizes: Iterable[Resize] = (),
) -> Iterator[str]:
    """Yield the lines of a recording, without newlines, as the chunks come.

    Times are seconds of one clock since the epoch, in order; where that clock was
    set back, the recording stands still. ``resizes`` are (time, width, height), in
    order too. The output events joined are the stream, with U+FFFD for what is no
    UTF-8; a character whose bytes are in two chunks has the time of the second.
    """
    header: dict[str, object] = {
        "version": 2,
        "width": width,
        "height": height,
        "timestamp": int(started_at),
    }
    if title:
        header["title"] = visible(title)
    yield _line(header)

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    elapsed = 0.0
    sizes = ((at, b"", f"{columns}x{rows}") for at, columns, rows in resizes)
    output = ((at, data, "") for at, data in chunks)
    for at, data, size in heapq.merge(sizes, output, key=lambda event: event[0]):
        elapsed = max(elapsed, round(at - started_at, 6))
        if size:
            yield _line([elapsed, "r", size])
        elif text := decoder.decode(data):
            yield _line([elapsed, "o", text])
    if text := decoder.decode(b"", True):
        yield _line([elapsed, "o", text])


def _line(value: object) -> str:
    return msgspec.json.encode(value).decode()
