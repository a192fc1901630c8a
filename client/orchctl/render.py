"""What people see on a terminal: tables, aligned fields, plain text.

Takes a result as JSON, gives text. Nothing in it reaches a terminal raw: every
control, format and bidirectional character is shown as an escape, because
names, titles and screens are what a program in a pane chose to write.
"""

import json
import os
import re
import time
import unicodedata
from calendar import timegm
from typing import Any

COLOURS = {
    "idle": "32",
    "ok": "32",
    "running": "36",
    "busy": "36",
    "exited": "2",
    "lost": "31",
    "fail": "31",
    "failed": "31",
    "open": "33",
    "answered": "32",
    "expired": "31",
    "degraded": "33",
    "warn": "33",
    "unknown": "33",
}
"""The words that get a colour of their own, wherever they are a whole cell."""

_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_COLOUR_ESCAPE = re.compile(r"\x1b\[[0-9;:]*m")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)\Z")
_TEXT_FIELDS = ("text", "output")
_NOTHING: tuple[Any, ...] = (None, "", {}, [])
_DURATIONS = ("uptime", "duration", "last_commit")


def render(
    result: bytes, columns: tuple[str, ...] = (), noun: str = "", quiet: bool = False
) -> str:
    """Return a result as text that ends in a newline, or nothing."""
    value = json.loads(result)
    if quiet:
        return _lines(essence(value))
    if isinstance(value, list):
        return listing(value, columns, noun)
    if not isinstance(value, dict):
        return "" if value is None else cell(value) + "\n"
    for name in _TEXT_FIELDS:
        if isinstance(value.get(name), str):
            return block(value[name])
    for name, rows in value.items():
        if columns and isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return listing(rows, columns, name.removesuffix("s"))
    if len(value) == 1:
        (value,) = value.values()
        return fields(value) if isinstance(value, dict) and value else cell(value) + "\n"
    return fields(value)


def essence(value: Any) -> list[str]:
    """Return what a script wants of a result: ids, or the one value there is."""
    if isinstance(value, list):
        return [line for item in value for line in essence(item)]
    if not isinstance(value, dict):
        return [] if value is None else [cell(value)]
    for name in ("id", *_TEXT_FIELDS, "exec", "wait", "seq"):
        if isinstance(value.get(name), (str, int)):
            return [block(str(value[name])).rstrip("\n")]
    if len(value) == 1:
        (only,) = value.values()
        return essence(only)
    return []


def listing(rows: list[Any], columns: tuple[str, ...], noun: str) -> str:
    """Return rows as a table, as wide as the terminal and no wider."""
    if not rows:
        return f"no {noun or 'result'}s\n"
    if not all(isinstance(row, dict) for row in rows):
        return _lines([cell(row) for row in rows])
    columns = columns or tuple(rows[0])
    filled = [name for name in columns if any(row.get(name) not in _NOTHING for row in rows)]
    heads = [name.removesuffix("_at").removesuffix("_name").upper() for name in filled]
    body = [[cell(row.get(name), name) for name in filled] for row in rows]
    widths = [max(map(width, column)) for column in zip(heads, *body, strict=True)]
    _narrow(widths, terminal_width())
    lines = [_line(heads, widths, "1")]
    lines += [_line(texts, widths) for texts in body]
    return _lines(lines)


def fields(value: dict[str, Any], indent: int = 0) -> str:
    """Return an object as aligned ``key: value`` lines, nested objects below their key.

    What is not there has no line.
    """
    value = {key: item for key, item in value.items() if item not in _NOTHING}
    lines = [] if value else [" " * indent + "-"]
    longest = max((len(key) for key in value), default=0)
    for key, item in value.items():
        head = " " * indent + safe(key) + ":"
        if (
            isinstance(item, dict)
            and item
            and any(isinstance(v, (dict, list)) for v in item.values())
        ):
            lines.append(head + "\n" + fields(item, indent + 2).rstrip("\n"))
        elif isinstance(item, list) and item and all(isinstance(row, dict) for row in item):
            lines.append(head + "\n" + listing(item, (), key).rstrip("\n"))
        elif isinstance(item, str) and "\n" in item:
            inner = [" " * (indent + 2) + safe(line) for line in item.rstrip("\n").split("\n")]
            lines.append("\n".join([head, *inner]))
        else:
            lines += _wrapped(head.ljust(indent + longest + 2), cell(item, key))
    return _lines(lines)


def _wrapped(head: str, text: str) -> list[str]:
    """Return text behind its head, on as many lines of the terminal as its words need."""
    room = terminal_width() - width(head)
    if width(text) <= room or room < 20:
        return [head + painted(text)]
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and width(lines[-1]) + 1 + width(word) > room:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [head + lines[0], *(" " * width(head) + line for line in lines[1:])]


def cell(value: Any, name: str = "") -> str:
    """Return a value on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return age(value) if name in _DURATIONS else f"{value:g}"
    if isinstance(value, str):
        return moment(value) or safe(value)
    if isinstance(value, dict):
        return _pairs(value, name) or "-"
    if isinstance(value, list):
        between = " | " if name in ("options", "patterns") else " "
        return between.join(cell(item, name) for item in value) or "-"
    if isinstance(value, int) and ("bytes" in name or name == "memory"):
        return size(value)
    return str(value)


def _pairs(value: dict[str, Any], name: str) -> str:
    """Return an object in a cell: of an end how it ended, of a pattern itself, else its members."""
    if name == "exit" and "status" in value:
        return cell(value.get("signal") if value["status"] is None else value["status"])
    if name == "patterns" and "pattern" in value:
        return cell(value["pattern"])
    return " ".join(
        f"{safe(str(key))}={cell(item, name if name == 'memory' else str(key))}"
        for key, item in value.items()
        if item not in _NOTHING
    )


def size(count: int) -> str:
    """Return a number of bytes in the largest unit that leaves at least one of it."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.3g} {unit}" if unit != "B" else f"{count} B"
        amount /= 1024
    return f"{amount:.3g} GiB"


def moment(text: str) -> str:
    """Return a time of the wire as what it is from now; a day away as the local date.

    Nothing if the text is no time.
    """
    if not (match := _MOMENT.match(text)):
        return ""
    seconds = timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    passed = time.time() - seconds
    if -1 <= passed < 2:  # the wire's fractions are left out, and its clock may be another
        return "just now"
    if 0 <= passed < 86400:
        return f"{age(passed)} ago"
    if -86400 < passed < 0:
        return f"in {age(-passed)}"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def age(seconds: float) -> str:
    """Return a number of seconds in its one or two largest units."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m" + (f"{whole % 60}s" if whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def safe(text: str, keep: str = "") -> str:
    """Return text with every character escaped that could do more than be seen."""
    if text.isprintable():
        return text
    return "".join(
        char if char in keep or unicodedata.category(char) not in _UNSAFE else _escaped(char)
        for char in text
    )


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code, f"\\x{code:02x}")
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def block(text: str) -> str:
    """Return lines of text for a terminal: colours kept, everything else made harmless."""
    text = text.replace("\r\n", "\n")
    parts = []
    at = 0
    for match in _COLOUR_ESCAPE.finditer(text):
        parts += [safe(text[at : match.start()], "\n\t"), match[0] if coloured() else ""]
        at = match.end()
    parts.append(safe(text[at:], "\n\t"))
    if at and coloured():
        parts.append("\x1b[0m")
    whole = "".join(parts)
    return whole if not whole or whole.endswith("\n") else whole + "\n"


def width(text: str) -> int:
    """Return the columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return text in at most that many columns, with a mark where some is missing."""
    if width(text) <= columns:
        return text
    kept = ""
    used = 0
    for char in text:
        used += _columns(char)
        if used > columns - 1:
            break
        kept += char
    return kept + "~"


def _narrow(widths: list[int], limit: int) -> None:
    """Take columns from the widest until the table fits, never below eight."""
    while sum(widths) + 2 * (len(widths) - 1) > limit:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= 8:
            return
        widths[widest] -= 1


def _line(texts: list[str], widths: list[int], style: str = "") -> str:
    shown = []
    for text, columns in zip(texts, widths, strict=True):
        text = cut(text, columns)
        shown.append(painted(text, style) + " " * (columns - width(text)))
    return "  ".join(shown).rstrip()


def painted(text: str, style: str = "") -> str:
    """Return text in its colour, where colours are wanted."""
    style = style or COLOURS.get(text, "")
    return f"\x1b[{style}m{text}\x1b[0m" if style and coloured() else text


def coloured() -> bool:
    """Say whether standard output takes colours."""
    return os.isatty(1) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Return the terminal's width; unlimited where there is none."""
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 10_000


def _lines(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)
