"""libtmux on our link: a ``libtmux.Server`` for cold operations, without a fork for each.

For doctor, repair, options, hooks and layouts, from worker threads; a call
blocks its thread and must never be made on the loop. Imported only when first
needed: libtmux costs more of a start than all the rest of the daemon.

``cmd`` and everything in libtmux that is built on it rides on the link. The
object listings (``sessions``, ``windows``, ``panes``) start a tmux of their own
(libtmux 0.62, ``neo.fetch_objs``); the mirror answers those questions.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import libtmux
from libtmux.common import tmux_cmd
from libtmux.neo import FIELD_VERSION

from orchestratord.errors import PermissionDenied, TmuxRefused
from orchestratord.tmux.command import command, quote
from orchestratord.tmux.link import DEADLINE, Link
from orchestratord.tmux.reply import PaneRow, SessionRow, WindowRow

_NAME = re.compile(r"[a-z]+(-[a-z]+)*\Z", re.ASCII)
_TOKEN = re.compile(r"#\{([a-z_]+)\}")


class NotThisWay(PermissionDenied):
    """The tmux server is ended by the link alone, which reads its clients to the end."""

    template = "{command} is not sent through libtmux"


class Done(tmux_cmd):
    """What tmux answered, in libtmux's terms; no process was started for it."""

    def __init__(self, argv: list[str], stdout: list[str], stderr: list[str]) -> None:
        self.cmd = argv
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = 1 if stderr else 0


class LinkedServer(libtmux.Server):
    """Our private server as libtmux sees it. Make it on the loop, use it in a thread."""

    def __init__(self, link: Link) -> None:
        super().__init__(socket_path=link.socket, config_file="/dev/null")
        self._link = link
        self._loop = asyncio.get_running_loop()

    def cmd(self, cmd: str, *args: Any, target: str | int | None = None) -> tmux_cmd:
        """Run one tmux command on the link; its refusal is in ``stderr``.

        Raises:
            TmuxGone: there was no answer; what happened is not known.
            NotThisWay: it would end the server.
        """
        if not _NAME.match(cmd) or cmd == "kill-server":
            raise NotThisWay(command=cmd)
        argv = [cmd, *(["-t", str(target)] if target is not None else []), *map(str, args)]
        line = command(cmd, *map(quote, argv[1:]))
        request = self._link.request(line, what=cmd, opaque=True)
        try:
            (body,) = asyncio.run_coroutine_threadsafe(request, self._loop).result(2 * DEADLINE)
        except TmuxRefused as refused:
            return Done(argv, [], [refused.details["reason"]])
        return Done(argv, [line.decode("utf-8", "backslashreplace") for line in body], [])


def unknown_formats(tier: tuple[int, int]) -> list[str]:
    """Return the formats of our listings that a tmux of that version leaves empty.

    By libtmux's table of versions; not by its comparison, which takes the ``a``
    of 3.3a for an alpha.
    """
    words = b" ".join((PaneRow.FORMAT, WindowRow.FORMAT, SessionRow.FORMAT))
    text = re.sub(rb"\\([0-7]{3})", lambda octal: bytes((int(octal[1], 8),)), words).decode()
    since = {token: FIELD_VERSION.get(token, "3.2") for token in _TOKEN.findall(text)}
    return sorted(token for token, version in since.items() if _tier(version) > tier)


def _tier(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
