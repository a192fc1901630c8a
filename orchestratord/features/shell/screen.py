"""How an exec looks: the trigger's line is replaced by the command, as if it had been typed.

Pure. The text becomes part of what the shell prints before the begin mark, so it is no
output, and nothing in it can act on a terminal.
"""

from __future__ import annotations

LINES = 20
COLUMNS = 2000
"""Of a long command; what is beyond is counted, not shown."""


def entry(column: int, width: int, echo: int, command: str) -> str:
    """Return, for ``printf %b``, what shows a command behind the prompt.

    ``column`` is where the prompt ended, ``echo`` how many columns the trigger took, 0 if the
    terminal showed nothing of it.
    """
    up = f"\\033[{1 + (column + echo - 1) // max(width, 1)}A" if echo else ""
    lines = command.rstrip("\n").split("\n")
    shown = [_harmless(line[:COLUMNS]) for line in lines[:LINES]]
    if len(lines) > LINES:
        shown.append(f"... {len(lines) - LINES} more lines")
    text = "\\r\\n> ".join(shown)
    return f"{up}\\033[{column + 1}G\\033[J{text}\\r\\n"


def _harmless(line: str) -> str:
    printable = "".join(c if c.isprintable() else " " if c == "\t" else "?" for c in line)
    return printable.replace("\\", "\\\\")
