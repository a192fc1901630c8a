"""The systemd units as files: which there are, where they lie, what they say.

The templates are the repository's ``systemd`` directory, installed beside this
module. In them ``@ORCHESTRATORD@``, ``@TMUX@`` and ``@LANG@`` stand for what only
the machine knows. Talks to no service manager; that is ``units``' work.
"""

import difflib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from orchctl import autostart, wire

SYSTEM = Path("/etc/systemd/system")

MARK = (
    "# Written by orchctl systemd install, which replaces it; a drop-in (systemctl edit) stays.\n"
)
"""The first line of what we write: only a file that begins with it is changed or removed."""

STEMS = ("orchestratord.socket", "orchestratord.service", "orchestratord-tmux.service")

_LOCALE = re.compile(r"[A-Za-z0-9_.@-]+\Z")


@dataclass(frozen=True)
class Unit:
    """A unit by its name, with its file and what that is to say."""

    name: str
    path: Path
    text: str

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

    def write(self) -> str:
        """Make the file what it is to be, and return how it differed, as a diff.

        It is replaced as a whole. A file that we did not write is refused.
        """
        found = self.found()
        if found == self.text:
            return ""
        if (found is not None or self.path.is_symlink()) and not self.ours():
            raise wire.RpcError(
                "FailedPrecondition",
                412,
                f"{self.path} was not written by orchctl and is left as it is",
                {"hint": "remove it, or keep it and change nothing else"},
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(self.text)
        new.chmod(0o644)
        new.replace(self.path)
        return self.diff(found or "")

    def diff(self, found: str) -> str:
        """Return the change from what was found to what is to be."""
        lines = difflib.unified_diff(
            found.splitlines(True), self.text.splitlines(True), "as it was", str(self.path), n=1
        )
        return "".join(lines)


def units(user: "str | None") -> list[Unit]:
    """Return the socket, the daemon and tmux: of our own manager, or the system's for a user."""
    if user is None:
        return [Unit(stem, _user_directory() / stem, filled("user", stem)) for stem in STEMS]
    return [
        Unit(stem.replace(".", f"@{user}."), SYSTEM / file, filled("system", file))
        for stem in STEMS
        for file in (stem.replace(".", "@."),)
    ]


def filled(kind: str, file: str) -> str:
    """Return a template's text for this machine."""
    text = (templates() / kind / file).read_text()
    for placeholder, value in (
        ("@ORCHESTRATORD@", _daemon()),
        ("@TMUX@", _tmux()),
        ("@LANG@", _language()),
    ):
        text = text.replace(placeholder, value)
    return MARK + text


def templates() -> Path:
    """Return the directory of the templates, of an installation or of a checkout."""
    here = Path(__file__).resolve().parent
    return next(
        (place for place in (here / "systemd", here.parents[1] / "systemd") if place.is_dir()),
        here / "systemd",
    )


def word(text: str) -> str:
    """Return a text as one word of an Exec line (systemd.service(5))."""
    if text.startswith("-") or not text.isprintable():
        raise wire.usage(f"{text!r} cannot stand in a unit")
    text = text.replace("%", "%%").replace("$", "$$")
    if not set(text) & set("\"'\\; \t"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _user_directory() -> Path:
    return Path(wire.home_path("XDG_CONFIG_HOME", ".config"), "systemd", "user")


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
