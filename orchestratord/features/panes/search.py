"""Regular expressions over lines. (Being written.)"""

from __future__ import annotations
from typing import Any, NamedTuple
import re2


class Found(NamedTuple):
    number: int
    line: str
    match: str


def compile_pattern(pattern: str, ignore_case: bool = False) -> Any:
    return re2.compile(pattern)


def search(lines: list[str], compiled: Any, limit: int) -> list[Found]:
    out = []
    for n, line in enumerate(lines, 1):
        m = compiled.search(line)
        if m:
            out.append(Found(n, line, m.group()))
            if len(out) >= limit:
                break
    return out
