"""Shell integration: how a shell of ours starts so that its prompts and commands can be known.

Each shell pane has a private directory with its ``rc``, which the shell reads
after the user's own start-up files, and ``run``, which it sources when it is told
to execute (see ``trigger``). The hooks that rc loads lie beside this module.
Writes only below its directory. Knows no tmux and no stream.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from orchestratord.features.shell.quoting import fish_quote, sh_quote

Kind = Literal["bash", "zsh", "fish", "sh"]

HOOKS = Path(__file__).parent / "hooks"
KINDS: Mapping[str, Kind] = {
    "bash": "bash", "zsh": "zsh", "fish": "fish", "sh": "sh", "dash": "sh", "ash": "sh",
}  # fmt: skip
"""By the name of the program. Other shells run without integration."""

TRIGGERS: Mapping[Kind, bytes] = {
    "bash": b"\x1b[7717;1~",
    "zsh": b"\x1b[7717;1~",
    "fish": b"\x1b[7717;1~",
    "sh": b'\x15 \\. "$__orch"\n',
}
"""What is typed to have ``run`` sourced. The line editors look for a draft in the same step;
a shell without one gets a line, after what erases a draft that came in the last moment."""

ECHO: Mapping[Kind, int] = {"bash": 13, "zsh": 13, "fish": 23, "sh": 13}
"""Columns that the trigger's line takes on the screen."""

_ENV = """if [ -n "${ORCH_ENV-}" ]; then ENV=$ORCH_ENV; export ENV; else unset ENV; fi
unset ORCH_ENV
"""

# Posix mode is how a login shell reads our file and not its own; what it changes is undone.
_BASH_LOGIN = (
    """set +o posix; shopt -u inherit_errexit
[[ ${HISTFILE-} != ~/.sh_history ]] || HISTFILE=~/.bash_history
"""
    + _ENV
    + """[[ ! -r /etc/profile ]] || . /etc/profile
for __orch_file in ~/.bash_profile ~/.bash_login ~/.profile; do
  if [[ -r $__orch_file ]]; then . "$__orch_file"; break; fi
done
unset __orch_file
"""
)

_BASH_HOOK = """if shopt -q expand_aliases; then
shopt -u expand_aliases; %(source)s; shopt -s expand_aliases
else %(source)s; fi
"""

_SH_LOGIN = (
    _ENV
    + """[ ! -r /etc/profile ] || . /etc/profile
[ ! -r ~/.profile ] || . ~/.profile
[ -z "${ENV-}" ] || [ ! -r "$ENV" ] || . "$ENV"
"""
)

# Global aliases may stand for any word, so the hook is read without aliases.
_ZSH_HOOK = """() {
\\builtin emulate -L zsh
\\builtin setopt no_aliases
\\builtin typeset -g %(names)s
\\builtin %(source)s
}
"""

_ZSH_FILE = """if [[ -n ${ORCH_ZDOTDIR-} ]]; then ZDOTDIR=$ORCH_ZDOTDIR; else unset ZDOTDIR; fi
[[ ! -r ${ZDOTDIR-$HOME}/%(name)s ]] || . "${ZDOTDIR-$HOME}/%(name)s"
"""

_ZSH_GO_ON = """if [[ -n ${ZDOTDIR-} ]]; then export ORCH_ZDOTDIR=$ZDOTDIR; fi
export ZDOTDIR=%(directory)s
"""


def kind_of(argv: Sequence[str]) -> Kind | None:
    """Return which integration fits a shell, None if none does."""
    return KINDS.get(Path(argv[0]).name)


class Integration:
    """The private directories of all shell panes, below one directory of the daemon's.

    On disk: a key that no program of ours is told, and a directory a pane. Both
    outlive the daemon, so that a later one recognises the marks.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._secret = b""

    def open(self) -> None:
        """Make the directory and the key, or read the key that is there."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._directory / "key"
        if not file.exists():
            _write(file, secrets.token_hex(32))
        self._secret = file.read_bytes()

    def key(self, pane: str) -> str:
        """Return what the marks of a pane carry. It is in no environment."""
        return hmac.new(self._secret, pane.encode(), hashlib.sha256).hexdigest()[:20]

    def has(self, pane: str) -> bool:
        """Whether a pane's shell was started with integration."""
        return (self._directory / pane / "rc").exists()

    def started(self, pane: str, pid: int) -> bool:
        """Whether a process is the shell that was started with the pane's integration."""
        here = os.fsencode(self._directory / pane)
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            return here in words or here in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return True  # not ours to look at: nothing says that it was replaced

    def dress(
        self,
        pane: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        inherited: Mapping[str, str],
    ) -> tuple[list[str], dict[str, str]]:
        """Return the argv and the environment that start a shell with our hook.

        ``inherited`` is what the pane has anyway. Unknown shells come back as given.
        """  # fmt: skip
        kind = kind_of(argv)
        if kind is None:
            return list(argv), dict(environment)
        place = self._directory / pane
        place.mkdir(mode=0o700, exist_ok=True)
        self.disarm(pane)
        quoted = fish_quote if kind == "fish" else sh_quote
        names = {"__orch": str(place / "run"), "__orch_key": self.key(pane)}
        source = f". {quoted(str(HOOKS / f'orch.{kind}'))}"
        env = dict(environment)
        both = {**inherited, **environment}
        if kind == "fish":
            lines = "".join(f"set -g {n} {quoted(v)}\n" for n, v in names.items())
            _write(place / "rc", f"{lines}builtin source {source[2:]}\n")
            return [argv[0], "-l", "-C", f"builtin source {quoted(str(place / 'rc'))}"], env
        lines = " ".join(f"{n}={quoted(v)}" for n, v in names.items())
        if kind == "zsh":
            _write(place / "rc", _ZSH_HOOK % {"names": lines, "source": source})
            for name in (".zshenv", ".zprofile", ".zshrc", ".zlogin"):
                theirs = _ZSH_FILE % {"name": name}
                last = name == ".zlogin"
                then = f"unset ORCH_ZDOTDIR\n\\. {quoted(str(place / 'rc'))}\n"
                ours = _ZSH_GO_ON % {"directory": quoted(str(place))}
                _write(place / name, theirs + (then if last else ours))
            if "ZDOTDIR" in both:
                env["ORCH_ZDOTDIR"] = both["ZDOTDIR"]
            env["ZDOTDIR"] = str(place)
            return [argv[0], "-l"], env
        if kind == "sh":
            _write(place / "rc", f"{_SH_LOGIN}{lines}\n{source}\n")
        else:
            _write(place / "rc", f"{_BASH_LOGIN}{lines}\n" + _BASH_HOOK % {"source": source})
        if "ENV" in both:
            env["ORCH_ENV"] = both["ENV"]
        env["ENV"] = str(place / "rc")
        return [argv[0], "-i"] if kind == "sh" else [argv[0], "--posix", "-l", "-i"], env

    def arm(
        self, pane: str, kind: Kind, nonce: str, command: str, screen: str, entry: str, width: int
    ) -> None:
        """Write what the next trigger executes.

        ``screen`` is what the shell prints before it begins (see ``screen``), ``entry`` what
        goes into its history, ``width`` the pane's. One line, because `set -v` shows a line
        before it is executed. The command is a list of its own, in which its status, `set -e`
        and traps do what they do at a prompt; ours are where they do nothing.
        """
        place = self._directory / pane
        _write(place / "do", command if command.endswith("\n") else command + "\n")
        if kind == "fish":
            run = (
                f"__orch_begin {nonce} {fish_quote(entry)} {fish_quote(screen)};"
                " builtin source $__orch_do; __orch_end $status\n"
            )
        else:
            run = (
                f"if __orch_begin {nonce} {sh_quote(entry)} {sh_quote(screen)} >/dev/null 2>&1;"
                ' then \\. "$__orch_do"; else \\. "$__orch_do"; fi;'
                f' {{ __orch_end "$?" {width}; }} >/dev/null 2>&1 && :\n'
            )
        _write(place / "run", run)

    def disarm(self, pane: str) -> None:
        """Make a trigger that comes late do nothing, and forget the command."""
        with contextlib.suppress(FileNotFoundError):  # the pane ended meanwhile
            _write(self._directory / pane / "run", ":\n")
            _write(self._directory / pane / "do", "")

    def forget(self, pane: str) -> None:
        """Delete a pane's directory."""
        shutil.rmtree(self._directory / pane, ignore_errors=True)

    def clear_strangers(self, known: set[str]) -> None:
        """Delete the directories of panes that nobody knows."""
        for place in self._directory.iterdir():
            if place.is_dir() and place.name not in known:
                shutil.rmtree(place, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    """Write a file in place: it is read only after a trigger, which is typed afterwards.

    Cut behind the text and not emptied before it, because ext4 writes a file to disk that
    was emptied and filled again (auto_da_alloc): 1.9 ms against 0.02.
    """
    data = text.encode()
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(fd, data[written:], written)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
