"""The daemon's methods as commands. Generated from its method table; do not edit.

``COMMANDS[name]`` is a tuple of constants, which costs nothing until it is
looked up (Python marshals the literal):

    0 method       "pane.kill"
    1 summary      one sentence
    2 description  the rest, "" if none
    3 forms        accepted orders of positional words; a last name that ends
                   in "..." takes all that remain. "session" before "pane",
                   where the method has no such field, makes SESSION/PANE
    4 fields       (name, type, required, schema) each. Types: "string",
                   "integer", "number", "boolean", "map" (string to string),
                   "array:" and one of the first four, else "json". The schema
                   is the field's JSON Schema as text, self-contained (no $ref),
                   with its description, bounds and default
    5 columns      what a table shows of the result, in order
    6 flags        some of "mutates", "streams", "admin", separated by spaces
    7 deadline     seconds until the daemon ends the call, or None

``ALIASES`` maps other names of commands to their names, ``EXIT_STATUS`` an
error's code to the status that a command exits with.
"""
# ruff: noqa: E501

COMMANDS: dict[str, tuple[object, ...]] = {
    "daemon-ping": (
        "daemon.ping",
        "Say that the daemon is alive.",
        "",
        ((),),
        (),
        (),
        "",
        30.0,
    ),
    "daemon-status": (
        "daemon.status",
        "Tell how the daemon, its tmux server and its store are.",
        "",
        ((),),
        (),
        (),
        "",
        30.0,
    ),
    "daemon-stop": (
        "daemon.stop",
        "Stop the daemon. Its panes live on unless the tmux server is ended too.",
        "",
        ((),),
        (
            (
                "tmux",
                "boolean",
                False,
                '{"type":"boolean","description":"End the tmux server and every pane too.","default":false}',
            ),
        ),
        (),
        "mutates admin",
        30.0,
    ),
    "session-create": (
        "session.create",
        "Create a session with its first pane.",
        "",
        (("name",),),
        (
            (
                "name",
                "string",
                True,
                '{"type":"string","description":"A letter, then letters, digits, _ or -, at most 64; never of the form p1, w1, s1."}',
            ),
            (
                "cwd",
                "string",
                False,
                '{"type":"string","description":"Where the first pane starts. The user\'s home if absent."}',
            ),
            (
                "env",
                "map",
                False,
                '{"type":"object","additionalProperties":{"type":"string"},"description":"Variables of its panes."}',
            ),
            (
                "labels",
                "map",
                False,
                '{"type":"object","additionalProperties":{"type":"string"},"description":"Free key-value pairs to select by."}',
            ),
            (
                "command",
                "array:string",
                False,
                '{"type":"array","items":{"type":"string"},"description":"What the first pane runs; the user\'s shell if absent."}',
            ),
            (
                "if_exists",
                "string",
                False,
                '{"enum":["error","return"],"description":"What to do when the name is taken.","default":"error"}',
            ),
        ),
        ("id", "name", "windows", "panes", "attached", "created_at"),
        "mutates",
        30.0,
    ),
    "session-list": (
        "session.list",
        "List the sessions.",
        "",
        ((),),
        (),
        ("id", "name", "windows", "panes", "attached", "created_at"),
        "",
        30.0,
    ),
    "session-kill": (
        "session.kill",
        "Kill a session and every pane in it.",
        "",
        (("session",),),
        (
            (
                "session",
                "string",
                True,
                '{"type":"string","description":"A session: our id (s2) or its exact name."}',
            ),
            (
                "grace",
                "number",
                False,
                '{"type":"number","minimum":0,"description":"Seconds between the polite signal and SIGKILL."}',
            ),
        ),
        (),
        "mutates",
        30.0,
    ),
    "pane-create": (
        "pane.create",
        "Create a pane.",
        "",
        (("session",), ("session", "name"), ("session", "name", "command...")),
        (
            (
                "session",
                "string",
                True,
                '{"type":"string","description":"A session: our id (s2) or its exact name."}',
            ),
            (
                "name",
                "string",
                False,
                '{"type":"string","description":"Its name, unique in the session."}',
            ),
            (
                "command",
                "array:string",
                False,
                '{"type":"array","items":{"type":"string"},"description":"What it runs; the user\'s shell if absent."}',
            ),
            (
                "cwd",
                "string",
                False,
                '{"type":"string","description":"Where it starts."}',
            ),
            (
                "env",
                "map",
                False,
                '{"type":"object","additionalProperties":{"type":"string"},"description":"Its variables; NAME alone passes yours."}',
            ),
            (
                "labels",
                "map",
                False,
                '{"type":"object","additionalProperties":{"type":"string"},"description":"Free key-value pairs to select by."}',
            ),
            (
                "place",
                "string",
                False,
                '{"enum":["auto","window","right","below"],"description":"Where it appears.","default":"auto"}',
            ),
            (
                "layout",
                "string",
                False,
                '{"type":"string","description":"The layout of its window afterwards."}',
            ),
            (
                "keep",
                "boolean",
                False,
                '{"type":"boolean","description":"Keep the screen after it has exited.","default":false}',
            ),
            (
                "width",
                "integer",
                False,
                '{"type":"integer","minimum":2,"maximum":1000,"description":"Width in columns."}',
            ),
        ),
        ("id", "name", "session", "state", "pid", "command"),
        "mutates",
        30.0,
    ),
    "pane-list": (
        "pane.list",
        "List the panes.",
        "",
        ((), ("session",)),
        (
            (
                "session",
                "string",
                False,
                '{"type":"string","description":"A session: our id (s2) or its exact name."}',
            ),
            (
                "state",
                "string",
                False,
                '{"enum":["starting","idle","busy","running","exited","lost","unknown"],"description":"Only panes in this state."}',
            ),
        ),
        ("id", "name", "session", "state", "pid", "command", "last_output_at"),
        "",
        30.0,
    ),
    "pane-get": (
        "pane.get",
        "Show one pane.",
        "",
        (("pane",), ("session", "pane")),
        (
            (
                "pane",
                "string",
                True,
                '{"type":"string","description":"A pane: our id (p17), tmux\'s (%5), a name, or session/name. Never an index."}',
            ),
        ),
        (),
        "",
        30.0,
    ),
    "pane-capture": (
        "pane.capture",
        "Show what is on a pane's screen.",
        "",
        (("pane",), ("session", "pane"), ("session", "pane", "lines")),
        (
            (
                "pane",
                "string",
                True,
                '{"type":"string","description":"A pane: our id (p17), tmux\'s (%5), a name, or session/name. Never an index."}',
            ),
            (
                "lines",
                "integer",
                False,
                '{"type":"integer","minimum":1,"description":"Only that many last lines, history included."}',
            ),
            (
                "escapes",
                "boolean",
                False,
                '{"type":"boolean","description":"Keep colours as escape sequences.","default":false}',
            ),
        ),
        (),
        "",
        30.0,
    ),
    "pane-kill": (
        "pane.kill",
        "Kill a pane and every process in it.",
        "",
        (("pane",), ("session", "pane")),
        (
            (
                "pane",
                "string",
                True,
                '{"type":"string","description":"A pane: our id (p17), tmux\'s (%5), a name, or session/name. Never an index."}',
            ),
            (
                "grace",
                "number",
                False,
                '{"type":"number","minimum":0,"description":"Seconds between the polite signal and SIGKILL."}',
            ),
        ),
        (),
        "mutates",
        30.0,
    ),
    "pane-send": (
        "pane.send",
        "Type text into a pane.",
        "",
        (("pane", "text"), ("session", "pane", "text")),
        (
            (
                "pane",
                "string",
                True,
                '{"type":"string","description":"A pane: our id (p17), tmux\'s (%5), a name, or session/name. Never an index."}',
            ),
            (
                "text",
                "string",
                True,
                '{"type":"string","description":"What to type, byte for byte."}',
            ),
            (
                "submit",
                "boolean",
                False,
                '{"type":"boolean","description":"Press Enter afterwards.","default":false}',
            ),
        ),
        (),
        "mutates",
        30.0,
    ),
    "pane-keys": (
        "pane.keys",
        "Press keys in a pane.",
        "",
        (("pane", "keys..."),),
        (
            (
                "pane",
                "string",
                True,
                '{"type":"string","description":"A pane: our id (p17), tmux\'s (%5), a name, or session/name. Never an index."}',
            ),
            (
                "keys",
                "array:string",
                True,
                '{"type":"array","items":{"type":"string"},"description":"Keys by tmux\'s names, such as C-c, Enter, Up."}',
            ),
        ),
        (),
        "mutates",
        30.0,
    ),
}

ALIASES: dict[str, str] = {}

EXIT_STATUS: dict[int, int] = {
    -32700: 2,
    -32600: 2,
    -32601: 3,
    -32602: 2,
    -32603: 70,
    400: 2,
    403: 77,
    404: 3,
    409: 4,
    412: 5,
    429: 75,
    499: 130,
    502: 76,
    503: 69,
    504: 124,
}
