"""The systemd units as files: which there are, where they lie, what they say.

The templates are the repository's ``systemd`` directory, installed beside this
module. In them ``@ORCHESTRATORD@``, ``@TMUX@``, ``@LANG@`` and ``@USER@`` stand for
what only the machine knows. Talks to no service manager; that is ``units``' work.
"""

import difflib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchctl import autostart, wire

NAMES = ("orchestratord.socket", "orchestratord.service", "orchestratord-tmux.service")

MARK = (
    "# Written by orchctl systemd install, which replaces it; a drop-in (systemctl edit) stays.\n"
)
"""The first line of what we write: only a file that begins with it is changed or removed."""

_USER = re.compile(r"^User=(.*)$", re.MULTILINE)
_LOCALE = re.compile(r"[A-Za-z0-9_.@-]+\Z")


@dataclass(frozen=True)
class Unit:
    """A unit by its name: of our own manager, or the system's for that user."""

    name: str
    user: "str | None"

    @property
    def path(self) -> Path:
        """Where the unit's file lies."""
        if self.user is not None:
            return Path("/etc/systemd/system", self.name)
        return Path(wire.home_path("XDG_CONFIG_HOME", ".config"), "systemd", "user", self.name)

    @cached_property
    def text(self) -> str:
        """What the file is to say on this machine."""
        kind = "user" if self.user is None else "system"
        text = (templates() / kind / self.name).read_text()
        for placeholder, value in (
            ("@ORCHESTRATORD@", _daemon),
            ("@TMUX@", _tmux),
            ("@LANG@", _language),
            ("@USER@", lambda: str(self.user)),
        ):
            if placeholder in text:
                text = text.replace(placeholder, value())
        return MARK + text

    def found(self) -> "str | None":
        """Return what the file says, None if there is none."""
        try:
            return self.path.read_text(errors="replace")
        except FileNotFoundError:
            return None

    def ours(self) -> bool:
        """Say whether we wrote the file that is there."""
        found = None if self.path.is_symlink() else self.found()
        return found is not None and found.startswith(MARK)

    def serves(self) -> "str | None":
        """Return the user whom the file that is there serves, if it names one."""
        named = _USER.search(self.found() or "")
        return named[1] if named else None

    def refuse_foreign(self) -> None:
        """Raise if the file is not ours to replace: another's, or the units of another user."""
        if self.path.is_symlink() or (self.found() is not None and not self.ours()):
            raise _refusal(f"{self.path} was not written by orchctl and is left", "remove it first")
        if self.serves() not in (None, self.user):
            raise _refusal(
                f"{self.path} serves {self.serves()}, not {self.user}",
                "orchctl systemd uninstall --system comes first; the state stays each user's own",
            )

    def write(self) -> None:
        """Make the file what it is to be; it is replaced as a whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(self.text)
        new.chmod(0o644)
        new.replace(self.path)

    def diff(self, before: str) -> str:
        """Return how what was found differs from what is to be."""
        lines = difflib.unified_diff(
            before.splitlines(True), self.text.splitlines(True), "before", str(self.path), n=1
        )
        return "".join(lines)


def templates() -> Path:
    """Return the directory of the templates, of an installation or of a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "systemd"
    return installed if installed.is_dir() else here.parents[1] / "systemd"


def word(text: str) -> str:
    """Return a text as one word of an Exec line (systemd.service(5))."""
    if not text.isprintable():
        raise wire.usage(f"{text!r} cannot stand in a unit")
    text = text.replace("%", "%%").replace("$", "$$")
    if not set(text) & set("\"'\\; "):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refusal(message: str, hint: str) -> wire.RpcError:
    return wire.RpcError("FailedPrecondition", 412, message, {"hint": hint})


def _daemon() -> str:
    program = autostart.program()
    if program[0] == sys.executable:
        raise wire.unavailable(
            "orchestratord lies neither beside orchctl nor on PATH, so no unit could start it",
            "install the package; from a checkout only orchctl up works",
        )
    return word(program[0])


def _tmux() -> str:
    found = shutil.which("tmux")
    if found is None:
        raise wire.unavailable("tmux is not on PATH", "install tmux 3.2 or newer")
    return word(str(Path(found).absolute()))


def _language() -> str:
    """Return the locale that panes get: the one we run in, if it can show every character."""
    here = os.environ.get("LANG", "")
    utf8 = here.lower().replace("-", "").endswith("utf8")
    return here if utf8 and _LOCALE.match(here) else "C.UTF-8"
