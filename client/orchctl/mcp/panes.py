"""Tools about panes as things: open, list, close, layout."""

from typing import Any

from orchctl.mcp import schema
from orchctl.mcp.tool import Json, Tool, Turn, compact, visible
from orchctl.mcp.work import shown_exit
from orchctl.wire import RpcError, usage

LISTED = 50
GONE = ("exited", "lost")
LAYOUTS = ("even-horizontal", "even-vertical", "main-horizontal", "main-vertical", "tiled")


async def open_(turn: Turn, given: Json) -> Json:
    """Open a pane, in a session that is made if need be, or return the one of that name."""
    asked = {name: value for name, value in given.items() if name != "fresh"}
    asked.setdefault("cwd", turn.cwd)
    reuses = "name" in given and not given.get("fresh")
    pane = await _named(turn, given) if reuses else None
    created = pane is None
    if pane is None:
        try:
            pane = await turn.call("pane.create", **asked, create_session=True)
        except RpcError as error:
            if error.kind != "NameTaken" or not reuses:
                raise
            pane = await _named(turn, given)  # another caller was faster
            if pane is None:
                raise
            created = False
    return {**pane_row(pane), "created": created, "cursor": pane["cursor"]}


async def _named(turn: Turn, given: Json) -> Json | None:
    try:
        panes = await turn.call("pane.list", session=given["session"], name=given["name"])
    except RpcError as error:
        if error.kind != "SessionNotFound":
            raise
        return None
    return next((pane for pane in panes if pane["state"] not in GONE), None)


async def list_(turn: Turn, given: Json) -> Json:
    """List panes, windows or sessions, each on one short row."""
    what = given.get("what", "panes")
    if what != "panes" and (extra := [n for n in ("state", "name") if n in given]):
        raise usage(f"{extra[0]} is for panes")
    if what == "sessions":
        found = await turn.call("session.list", label=given.get("label"))
        rows = [session_row(session) for session in found]
    elif what == "windows":
        found = await turn.call("window.list", session=given.get("session"))
        rows = [window_row(window) for window in found]
    else:
        wanted = {name: given.get(name) for name in ("session", "state", "label", "name")}
        found = await turn.call("pane.list", **wanted)
        rows = [pane_row(pane) for pane in found]
    limit = given.get("limit", LISTED)
    return {what: rows[:limit], "total": len(rows)}


async def close(turn: Turn, given: Json) -> Json:
    """End panes, a window or a session, with every process in them."""
    named = [name for name in ("pane", "panes", "window", "session") if given.get(name)]
    if len(named) != 1:
        raise usage("name one of pane, panes, window and session")
    what = named[0]
    if what in ("window", "session"):
        ended = await turn.call(f"{what}.kill", **{what: given[what], "grace": given.get("grace")})
        return {"closed": [{"pane": pane} for pane in ended["killed"]]}
    closed = []
    for pane in [given["pane"]] if what == "pane" else given["panes"]:
        ended = await turn.call("pane.kill", pane=pane, grace=given.get("grace"))
        closed.append(
            compact(
                pane=ended["pane"],
                exit=shown_exit(ended["exit"]),
                already=ended["already"] or None,
                survivors=ended["survivors"],
            )
        )
    return {"closed": closed}


async def layout(turn: Turn, given: Json) -> Json:
    """Change where a pane is, how large, its name or labels, or how its window is arranged."""
    pane = given["pane"]
    done = []
    for name, method, params in _changes(given):
        await turn.call(method, pane=pane, **params)
        done.append(name)
    found = await turn.call("pane.get", pane=pane)
    if "arrange" in given:
        await turn.call("window.layout", window=found["window"], layout=given["arrange"])
        found = await turn.call("pane.get", pane=found["id"])
        done.append("arrange")
    if not done:
        raise usage("name what to change", "arrange, name, labels, width, zoom, select, ...")
    return {**pane_row(found), "width": found["width"], "height": found["height"], "done": done}


def _changes(given: Json) -> list[tuple[str, str, Json]]:
    """Return what is asked for, in the order in which it is done. The name comes last."""
    changes: list[tuple[str, str, Json]] = []
    move: Json = {n: given[n] for n in ("beside", "to_session") if n in given}
    size: Json = {n: given[n] for n in ("width", "height") if n in given}
    if move:
        changes.append(("move", "pane.move", move))
    if "swap" in given:
        changes.append(("swap", "pane.swap", {"other": given["swap"]}))
    if size:
        changes.append(("resize", "pane.resize", size))
    if "zoom" in given:
        changes.append(("zoom", "pane.zoom", {"on": given["zoom"]}))
    if given.get("select"):
        changes.append(("select", "pane.select", {}))
    if given.get("labels"):
        changes.append(("labels", "pane.label_set", {"labels": given["labels"]}))
    if "name" in given:
        changes.append(("name", "pane.rename", {"name": given["name"]}))
    return changes


def pane_row(pane: dict[str, Any]) -> Json:
    """Return a pane in short."""
    front = pane["foreground"]
    return compact(
        pane=pane["id"], name=pane["name"], session=pane["session_name"], window=pane["window"],
        state=pane["state"], runs=visible(front["command"] if front else pane["command"]),
        cwd=visible(pane["cwd"] or "") or None, labels=pane["labels"],
        exit=shown_exit(pane["exit"]),
    )  # fmt: skip


def session_row(session: dict[str, Any]) -> Json:
    """Return a session in short."""
    return compact(
        session=session["name"], id=session["id"], panes=session["panes"],
        windows=session["windows"], attached=session["attached"], labels=session["labels"],
    )  # fmt: skip


def window_row(window: dict[str, Any]) -> Json:
    """Return a window in short."""
    return compact(
        window=window["id"], name=window["name"], session=window["session"],
        panes=window["panes"], width=window["width"], height=window["height"],
    )  # fmt: skip


_ROW = {
    "pane": schema.text("The pane's id; use it from now on."),
    "name": schema.text("The pane's name."),
    "session": schema.text("The session's name."),
    "window": schema.text("The window's id."),
    "state": schema.text("starting, idle (at its prompt), busy, running, exited, lost, unknown."),
    "runs": schema.text("The program in the foreground."),
    "cwd": schema.text("Its directory."),
    "labels": schema.pairs("Its labels."),
    "exit": schema.EXIT,
}

OPEN = Tool(
    "open",
    "Open a terminal pane",
    "Open a pane with a shell (for run), or with a program if command is given (servers, "
    "watchers, TUIs; its exit status is kept). The session is made if there is none. With a name "
    "that a living pane of the session has, that pane is returned (created: false) unless fresh.",
    {
        "session": schema.text("The session's name: a letter, then letters, digits, _ or -."),
        "name": schema.text("The pane's name in the session, such as build."),
        "command": schema.texts("Program and arguments, without a shell. Absent: a shell."),
        "shell": schema.text("bash, zsh, fish, sh, or a path."),
        "cwd": schema.text("Its directory, absolute; that of this server if absent."),
        "env": schema.pairs("Variables for the program; never stored."),
        "labels": schema.pairs("Labels to find it by."),
        "place": {
            "type": "string",
            "enum": ["auto", "window", "right", "below"],
            "description": "auto splits while panes stay readable, else opens a window.",
        },
        "keep": schema.yes("Keep its screen after its end."),
        "ttl": {"type": "number", "description": "Seconds after which it is ended."},
        "fresh": schema.yes("Fail rather than return a pane that is there."),
    },
    open_,
    _ROW | {"created": schema.yes("Whether it was made now."), "cursor": schema.CURSOR},
    required=("session",),
    answered=("pane", "session", "state", "created", "cursor"),
    needs=("pane.create", "pane.list"),
)

LIST = Tool(
    "list",
    "List panes, windows or sessions",
    "List panes (state exited or lost: those that ended), windows, or sessions.",
    {
        "what": {"type": "string", "enum": ["panes", "windows", "sessions"]},
        "session": schema.SESSION,
        "state": {
            "type": "string",
            "enum": ["starting", "idle", "busy", "running", "exited", "lost", "unknown"],
        },
        "label": schema.text("A label: KEY or KEY=VALUE."),
        "name": schema.text("An exact name."),
        "limit": schema.whole(f"Rows at most; {LISTED} if absent.", minimum=1, maximum=500),
    },
    list_,
    {
        "panes": {"type": "array", "items": {"type": "object", "properties": _ROW}},
        "windows": schema.rows("The windows."),
        "sessions": schema.rows("The sessions."),
        "total": schema.whole("How many there are; more than rows if limited."),
    },
    answered=("total",),
    needs=("pane.list", "window.list", "session.list"),
    reads=True,
)

CLOSE = Tool(
    "close",
    "Close panes",
    "End one pane, several, a whole window or a whole session, with every process in them "
    "(hangup, TERM, KILL). Returns how each ended. One that has ended already is no error. "
    + schema.UNTRUSTED,
    {
        "pane": schema.PANE,
        "panes": schema.texts("Several panes."),
        "window": schema.text("A window's id (w4)."),
        "session": schema.SESSION,
        "grace": {
            "type": "number",
            "description": "Seconds from the hangup to KILL; 2 if absent.",
            "minimum": 0,
            "maximum": 60,
        },
    },
    close,
    {"closed": schema.rows("pane, exit, already, survivors (processes that escaped).")},
    answered=("closed",),
    needs=("pane.kill", "window.kill", "session.kill"),
    destroys=True,
    idempotent=True,
)

LAYOUT = Tool(
    "layout",
    "Arrange, name and label panes",
    "Change a pane's place, size, name or labels, or arrange its window. Several at once are "
    "done in this order: move, swap, resize, zoom, select, labels, name, arrange.",
    {
        "pane": schema.PANE,
        "arrange": {"type": "string", "enum": list(LAYOUTS), "description": "For its window."},
        "name": schema.text("A new name."),
        "labels": schema.pairs("Labels to set; others stay."),
        "width": schema.whole("Columns.", minimum=2, maximum=1000),
        "height": schema.whole("Rows.", minimum=2, maximum=1000),
        "zoom": {"type": "boolean", "description": "Let it fill its window, or no longer."},
        "select": schema.yes("Make it the one that people who attach see."),
        "beside": schema.text("Move it beside this pane."),
        "to_session": schema.text("Move it to a window of its own in this session."),
        "swap": schema.text("Exchange places with this pane."),
    },
    layout,
    _ROW
    | {
        "width": schema.whole("Columns."),
        "height": schema.whole("Rows."),
        "done": schema.texts("What was changed."),
    },
    required=("pane",),
    answered=("pane", "done"),
    needs=("pane.move", "pane.swap", "pane.resize", "pane.zoom", "pane.rename", "window.layout"),
)
