"""A shell on a pty of its own that sources files, as a witness of what a command does.

A login shell, with a pane's environment and size, but with none of our hooks: the shells'
own (PS0 and PROMPT_COMMAND, preexec and precmd), put there by a line that is typed, tell
where the output of a typed ``. FILE`` begins and ends, and write its status to a file. In
dash the prompt itself carries both, in fish the line that is typed. Nothing of the daemon
is used here.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 60.0

_RC = {
    "bash": r"""
PS0=$'<oracle begins>'
oracle_ends() {
  { local - last=$?; set +vx; \builtin printf %s "$last" >|{status}
    \builtin printf '\074oracle ends>' >/dev/tty; } 2>/dev/null
}
PROMPT_COMMAND+=(oracle_ends)
""",
    "zsh": r"""
oracle_begins() { { builtin printf '\074oracle begins>' >/dev/tty } 2>/dev/null }
oracle_ends() {
  { builtin printf %s $? >|{status}; builtin printf '\074oracle ends>' >/dev/tty } 2>/dev/null
}
preexec_functions+=(oracle_begins)
precmd_functions=(oracle_ends $precmd_functions)
unsetopt prompt_sp
""",
    "sh": r"""
PS1='<oracle ends>$?<oracle status>'
""",
    "fish": r"""
function oracle_begins
    set -l last $status
    builtin printf '\074oracle begins>'
    return $last
end
function oracle_ends
    set -l last $status
    builtin printf %s $last >{status}
    builtin printf '\074oracle ends>'
    return $last
end
oracle_ends
""",
}


class Oracle:
    """One living shell. Its files are below ``directory``."""

    def __init__(
        self, kind: str, program: str, directory: Path, environment: Mapping[str, str], cwd: Path
    ) -> None:
        self.kind = kind
        self._file = directory / "command"
        self._status = directory / "status"
        rc = directory / "rc"
        rc.write_text(_RC[kind].replace("{status}", str(self._status)))
        self._seen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(cwd)
                for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP):
                    signal.signal(number, signal.SIG_DFL)
                os.execve(program, [program, "-l", "-i"], dict(environment))
            finally:
                os._exit(126)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self._ready()
        os.write(self._fd, f"{'source' if kind == 'fish' else '.'} {rc}\r".encode())
        self._until(b"<oracle status>" if kind == "sh" else b"<oracle ends>")
        self._ready()

    def run(self, command: str) -> tuple[int, bytes]:
        """Have a command sourced; return its status and its output."""
        self._file.write_bytes(command.encode() + (b"" if command.endswith("\n") else b"\n"))
        self._status.unlink(missing_ok=True)
        word = "oracle_begins; builtin source" if self.kind == "fish" else "\\."
        typed = f"{word} {self._file}" + ("; oracle_ends" if self.kind == "fish" else "")
        os.write(self._fd, typed.encode() + b"\r")
        self._until(typed.encode() + b"\r\n" if self.kind == "sh" else b"<oracle begins>")
        output = self._until(b"<oracle ends>")
        # after `set -v` the shells show what is read of ours, too
        output = output.removeprefix(typed.encode() + b"\r\n").removesuffix(b"oracle_ends\r\n")
        if self.kind == "sh":
            status = int(self._until(b"<oracle status>"))
        else:
            status = int(self._status.read_text())
        self._ready()
        return status, output

    def close(self) -> None:
        """End the shell."""
        os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)

    def _ready(self) -> None:
        """Wait until the shell has drawn its prompt, so that what is typed is edited by it."""
        ends = time.monotonic() + PATIENCE
        while self.kind != "sh" and termios.tcgetattr(self._fd)[3] & termios.ICANON:
            self._take(0.001)
            assert time.monotonic() < ends, "no prompt"

    def _until(self, text: bytes) -> bytes:
        """Return what the shell writes before a text, and pass over that."""
        ends = time.monotonic() + PATIENCE
        while (place := self._seen.find(text)) < 0:
            assert time.monotonic() < ends, (text, self._seen[-500:])
            self._take(0.1)
        before, self._seen = self._seen[:place], self._seen[place + len(text) :]
        return before

    def _take(self, seconds: float) -> None:
        if select.select([self._fd], [], [], seconds)[0]:
            try:
                self._seen += os.read(self._fd, 1 << 16)
            except OSError:
                raise AssertionError(f"the shell ended: {self._seen[-500:]!r}") from None
