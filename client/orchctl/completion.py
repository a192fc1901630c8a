"""Completion in bash, zsh and fish.

The scripts are a few lines that ask ``orchctl __complete``, so they never grow
old; it costs one start of Python for each Tab. Names of panes and sessions
come from the daemon if one runs; none is started for it.
"""

import json
from typing import Any

from orchctl.arguments import GLOBALS
from orchctl.cli import Invocation, find, out
from orchctl.manual import entries
from orchctl.programs import with_base
from orchctl.wire import RpcError, usage

SCRIPTS = {
    "bash": r"""_orchctl() {
    local IFS=$'\n'
    local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=($(compgen -W "$(orchctl __complete -- "${words[@]}" 2>/dev/null)" -- "${words[-1]}"))
}
complete -o default -F _orchctl orchctl
""",
    "zsh": r"""#compdef orchctl
_orchctl() {
    local -a found
    found=("${(@f)$(orchctl __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    (( $#found )) && compadd -a found || _files
}
if [ "$funcstack[1]" = "_orchctl" ]; then _orchctl "$@"; else compdef _orchctl orchctl; fi
""",
    "fish": r"""function __orchctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (orchctl __complete -- $words[2..-1] 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c orchctl -f -a '(__orchctl_complete)'
""",
}

SOON = 0.5
"""Seconds that a daemon has for its names; whoever presses Tab is waiting."""


def script(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Print a shell's script."""
    if params["shell"] not in SCRIPTS:
        raise usage(f"there is no completion for {params['shell']}", "bash, zsh or fish")
    out(SCRIPTS[params["shell"]].encode())
    return 0


def complete(invocation: Invocation, params: dict[str, Any], entry: Any) -> int:
    """Print what the last word may become, one candidate a line."""
    found = candidates(invocation, params["words"])
    out("".join(word + "\n" for word in found).encode())
    return 0


def candidates(invocation: Invocation, words: list[str]) -> list[str]:
    """Return the candidates for the last of the words, which may be empty."""
    *before, last = words or [""]
    typed = [word for word in before if not word.startswith("--")]
    if not typed:
        known = _flags(GLOBALS) if last.startswith("-") else list(entries())
    else:
        known = _of_command(invocation, typed[0], before, last)
    return sorted(word for word in known if word.startswith(last))


def _of_command(invocation: Invocation, name: str, before: list[str], last: str) -> list[str]:
    try:
        entry = with_base(find(name)[1])
    except RpcError:
        return []
    types = {field[0]: field[1] for field in entry[4]}
    previous = before[-1]
    if previous.startswith("--") and types.get(_key(previous), "boolean") != "boolean":
        return _values(invocation, entry, _key(previous), "")
    if last.startswith("-"):
        return _flags(types) + _flags(GLOBALS)
    return _positional(invocation, entry, before, types)


def _positional(
    invocation: Invocation, entry: Any, before: list[str], types: dict[str, str]
) -> list[str]:
    given: list[str] = []
    skip = False
    for word in before[before.index(next(w for w in before if not w.startswith("--"))) + 1 :]:
        if skip:
            skip = False
        elif word.startswith("--"):
            skip = "=" not in word and types.get(_key(word), "boolean") != "boolean"
        else:
            given.append(word)
    found: list[str] = []
    for form in entry[3]:
        if len(form) > len(given):
            name = form[len(given)].removesuffix("...")
            session = given[0] if form[0] == "session" and given else ""
            found += _values(invocation, entry, name, session)
    return found


def _values(invocation: Invocation, entry: Any, name: str, session: str) -> list[str]:
    for field in entry[4]:
        if field[0] == name and (choices := json.loads(field[3]).get("enum")):
            return [str(choice) for choice in choices]
    if name in ("pane", "panes"):
        return names(invocation, "pane.list", session)
    if name == "session":
        return names(invocation, "session.list", "")
    if name == "command" and entry[0].startswith("manual:"):
        return list(entries())
    return []


def names(invocation: Invocation, method: str, session: str) -> list[str]:
    """Return the ids and names that the daemon knows, none when it does not answer."""
    invocation.options |= {"autostart": False, "timeout": SOON}
    try:
        rows = json.loads(invocation.call(method, {"session": session} if session else None))
    except RpcError:
        return []
    found = []
    for row in rows:
        found += [row["id"], *([row["name"]] if row.get("name") else [])]
    return found


def _key(flag: str) -> str:
    return flag[2:].replace("-", "_")


def _flags(types: dict[str, str]) -> list[str]:
    return ["--" + name.replace("_", "-") for name in types]
