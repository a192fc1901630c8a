"""asciicast. (Being written.)"""

from __future__ import annotations
from collections.abc import Iterable, Iterator


def asciicast(
    *, width: int, height: int, title: str, started_at: float, chunks: Iterable[tuple[float, bytes]]
) -> Iterator[str]:
    return iter(())
