"""The commands that are more than one call of the daemon, or none.

An entry has the form of those in ``commands``, with ``module:function`` for
the method. A ninth item names the command that it stands before: it takes that
one's fields, and its columns and deadline, beside its own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchctl.arguments import Entry

# fmt: off
PANE = ("pane", "string", True, '{"description":"A pane: p17, %5, a name, or session/name."}')
MAYBE_PANE = ("pane", "string", False, PANE[3])
SESSION = ("session", "string", True, '{"description":"A session: its id (s2) or exact name."}')
MAYBE_SESSION = ("session", "string", False, SESSION[3])
PATTERN = ("pattern", "string", True, '{"description":"A regular expression (RE2)."}')
COMMAND = ("command", "string", True,
           '{"description":"A line for the shell, or - for standard input."}')
LINES = ("lines", "integer", False,
         '{"description":"How many last lines to look at.","default":50,"minimum":1}')
TIMEOUT = ("timeout", "number", False,
           '{"description":"Seconds to wait; 0 is as long as it takes."}')
SECONDS = ("timeout", "number", True, TIMEOUT[3])
SINCE = ("since", "integer", False, '{"description":"The number after which to begin."}')
FORCE = ("force", "boolean", False,
         '{"description":"Also from within one of the panes that end.","default":false}')
YES = ("yes", "boolean", False, '{"description":"Do not ask.","default":false}')

PROGRAMS: "dict[str, Entry]" = {
    "up": (
        "life:up", "Start the daemon, if it does not run.",
        "", ((),),
        (), (), "there", None),
    "down": (
        "life:down", "Stop the daemon. Panes live on.",
        "", ((),),
        (("tmux", "boolean", False, '{"description":"End the tmux server and all panes too."}'),
         ("all", "boolean", False, '{"description":"The same as --tmux."}'), FORCE),
        (), "there", None),
    "status": (
        "life:status", "Tell how the daemon is; exit 1 when it does not run.",
        "", ((),),
        (), (), "there", None),
    "doctor": (
        "doctor:doctor", "Check what the daemon needs, also while it does not run.",
        "", ((),),
        (), ("check", "verdict", "detail", "remedy"), "there", None),
    "uninstall": (
        "life:uninstall", "Stop everything and remove units and state.",
        "", ((),),
        (YES, FORCE),
        (), "there", None),
    "systemd": (
        "units:main", "Install, remove or show the systemd units.",
        "", (("action",),),
        (("action", "string", True, '{"enum":["install","uninstall","status"]}'),
         ("user", "boolean", False, '{"description":"The user\'s units (the default)."}'),
         ("system", "boolean", False, '{"description":"The system\'s units."}'),
         ("for", "string", False,
          '{"description":"Whom the system\'s units serve; yourself if absent."}'),
         ("print", "boolean", False, '{"description":"Print the units and change nothing."}'),
         ("keep_panes", "boolean", False,
          '{"description":"At uninstall leave tmux running, and the panes in it."}'),
         YES),
        (), "there", None),
    "attach": (
        "attach:attach", "Hand the terminal to tmux, in a session of the daemon.",
        "", ((), ("session",)),
        (MAYBE_SESSION,),
        (), "there", None),
    "socket": (
        "hosts:say_socket", "Print where the daemon's socket is.",
        "", ((),),
        (("up", "boolean", False, '{"description":"Start the daemon, if it does not run."}'),),
        (), "", None),
    "context": (
        "contexts:main", "Name daemons on other hosts, and choose the one that is meant.",
        "A context is a URL, ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET], reached by OpenSSH. The "
        "context default is this host. In panes of ours no context is current.",
        (("action",), ("action", "name"), ("action", "name", "url")),
        (("action", "string", True, '{"enum":["add","use","list","remove"]}'),
         ("name", "string", False, '{"description":"The context\'s name."}'),
         ("url", "string", False, '{"description":"Its URL, for add."}'),
         ("program", "string", False,
          '{"description":"The orchctl to run on that host, if it is not on PATH there."}')),
        ("name", "current", "url", "program"), "", None),
    "call": (
        "batch:call", "Call any method with parameters as JSON.",
        "", (("method",), ("method", "params")),
        (("method", "string", True, '{"description":"The method, such as pane.list."}'),
         ("params", "json", False, '{"description":"JSON, @FILE, or - for standard input."}')),
        (), "mutates", None),
    "batch": (
        "batch:batch", "Read one request a line and answer one a line, on one connection.",
        "A line is a JSON-RPC request or a command as it is typed.",
        ((),),
        (), (), "", None),
    "events": (
        "stream:events", "Show what happened, and with --follow what happens.",
        "Following goes on after a restart of the daemon, without a gap or a repeat.",
        ((),),
        (("follow", "boolean", False, '{"description":"Go on with what happens."}'), SINCE,
         ("kinds", "array:string", False, '{"description":"Only these, such as pane.exited."}'),
         MAYBE_SESSION,
         ("pane", "string", False, '{"description":"A pane: p17, %5, a name, or session/name."}'),
         ("limit", "integer", False, '{"description":"At most that many.","minimum":1}')),
        ("seq", "at", "kind", "session", "pane", "data"), "", None),
    "tail": (
        "stream:tail", "Show a pane's last lines, then its output as it comes.",
        "", (("pane",), ("session", "pane")),
        (PANE, ("since", "string", False, '{"description":"A cursor, to begin there instead."}'),
         ("lines", "integer", False,
          '{"description":"Last lines that come first; 10 on a terminal, else 0.","minimum":0}')),
        (), "", None),
    "completion": (
        "completion:script", "Print the completion script of a shell.",
        "", (("shell",),),
        (("shell", "string", True, '{"enum":["bash","zsh","fish"]}'),),
        (), "", None),
    "__complete": (
        "completion:complete", "",
        "", (("words...",),),
        (("words", "array:string", True, "{}"),),
        (), "hidden", None),
    "man": (
        "manual:man", "Show the manual page.",
        "", ((),),
        (), (), "", None),
    "help": (
        "manual:help_", "Explain orchctl or a command.",
        "", ((), ("command",)),
        (("command", "string", False, '{"description":"The command to explain."}'),),
        (), "", None),
    "tools": (
        "tools:tools", "Print the methods as tool definitions for a language model.",
        "", ((),),
        (("format", "string", False,
          '{"enum":["anthropic","openai","mcp"],"default":"anthropic"}'),
         ("methods", "array:string", False,
          '{"description":"Only these methods, such as pane.exec; all if absent."}')),
        (), "", None),
    "mcp": (
        "mcp.program:main", "Serve agents by the Model Context Protocol, on standard input.",
        "Needs the extra mcp. The daemon is started when a tool first needs it.",
        ((),),
        (("shared", "boolean", False,
          '{"description":"Let one process serve all that say this: it pays from two on."}'),),
        (), "", None),
    "claude": (
        "claude:main", "Write the plugin for Claude Code, or remove it, and say what to do next.",
        "hook is for the plugin: it labels the pane that Claude Code runs in with what it does.",
        (("action",), ("action", "state")),
        (("action", "string", True, '{"enum":["install","uninstall","hook"]}'),
         ("state", "string", False,
          '{"enum":["idle","working","waiting","done","failed","ended"]}'),
         ("print", "boolean", False, '{"description":"Say what would be done, and do nothing."}')),
        (), "", None),
    "advisor": (
        "advisor.program:main", "Have open decisions answered, by Claude or by a person here.",
        "With a key Claude is asked, through the Anthropic API: it is sent the question, the "
        "options, the default and the context of each decision, nothing else. Without a key the "
        "decisions are shown, and answered at this terminal.",
        ((),),
        (("session", "string", False, '{"description":"Only decisions about this session."}'),
         ("label", "string", False,
          '{"description":"Only decisions with this label: KEY or KEY=VALUE."}'),
         ("key_file", "string", False,
          '{"description":"A file with the key; ANTHROPIC_API_KEY if absent."}'),
         ("base_url", "string", False,
          '{"description":"Where the API is; ANTHROPIC_BASE_URL or Anthropic\'s if absent."}'),
         ("model", "string", False,
          '{"description":"The model that is asked.","default":"claude-sonnet-5-5"}'),
         ("max_tokens", "integer", False,
          '{"description":"Tokens of one answer at most, thinking included.","default":4096}'),
         ("effort", "string", False,
          '{"description":"How much the model thinks, for those that know it: low to max."}'),
         ("budget", "integer", False,
          '{"description":"Tokens in all, input and output; then nothing more is answered."}'),
         ("timeout", "number", False,
          '{"description":"Seconds for one answer, retries included.","default":60}'),
         ("structure", "string", False,
          '{"description":"How the model is held to the options: by the schema of its answer, or '
          'by a forced tool, which models since 5.5 refuse.","enum":["schema","tool"],'
          '"default":"schema"}'),
         ("dry_run", "boolean", False,
          '{"description":"Say what would be answered, and answer nothing.","default":false}'),
         ("once", "boolean", False,
          '{"description":"End when what is open now is done; exit 1 if any of it was left."}')),
        (), "", None),
    "agent-loop": (
        "agent_loop.program:main", "Have a model do a task in panes, through tools.",
        "Asks Claude through the Anthropic API, and sends it the task and what the tools answer, "
        "output of panes among it. Ends when the model does, or at a limit; exit 1 then.",
        (("task",),),
        (("task", "string", True, '{"description":"What is to be done."}'),
         ("key_file", "string", False,
          '{"description":"A file with the key; ANTHROPIC_API_KEY if absent."}'),
         ("base_url", "string", False,
          '{"description":"Where the API is; ANTHROPIC_BASE_URL or Anthropic\'s if absent."}'),
         ("model", "string", False,
          '{"description":"The model that is asked.","default":"claude-sonnet-5-5"}'),
         ("max_tokens", "integer", False,
          '{"description":"Tokens of one answer at most.","default":8192}'),
         ("budget", "integer", False,
          '{"description":"Tokens in all, input and output."}'),
         ("turns", "integer", False, '{"description":"Answers at most.","default":50}'),
         ("timeout", "number", False,
          '{"description":"Seconds for one answer.","default":300}')),
        (), "", None),
    "demo": (
        "demo:main", "Run a demonstration on a throw-away daemon.",
        "Without a name the scaled demo: 13 lifecycle operations, up to 8 panes, kept or killed by"
        " watches. events: stages that are triggered by what a pane prints.", ((), ("which",)),
        (("which", "string", False, '{"enum":["scaled","events"],"default":"scaled"}'),),
        (), "", None),
    "pane-exec": (
        "bridge:exec_", "Run a command in a pane's shell and exit with its exit code.",
        "", (("pane", "command"), ("session", "pane", "command")),
        (PANE, COMMAND, TIMEOUT),
        (), "", None, "pane-exec"),
    "pane-exec-timeout": (
        "bridge:exec_", "Run a command; after the timeout stop waiting and exit with 124.",
        "", (("pane", "timeout", "command"), ("session", "pane", "timeout", "command")),
        (PANE, COMMAND, SECONDS),
        (), "", None, "pane-exec"),
    "pane-create-with-layout": (
        "bridge:create_with_layout",
        "Create a pane and lay its window out; tiled if no layout is named.",
        "", (("session",), ("session", "name"), ("session", "name", "layout")),
        (SESSION,),
        (), "", None, "pane-create"),
    "pane-watch": (
        "bridge:watch", "Show the lines of a pane that match now.",
        "", (("pane", "pattern"), ("session", "pane", "pattern"),
             ("session", "pane", "pattern", "lines")),
        (PANE, PATTERN, LINES),
        ("number", "line"), "", None),
    "pane-watch-timeout": (
        "bridge:watch_timeout",
        "Wait until a line of a pane matches and show the lines; exit 1 when none does.",
        "", (("pane", "pattern", "timeout"), ("session", "pane", "pattern", "timeout"),
             ("session", "pane", "pattern", "timeout", "lines")),
        (PANE, PATTERN, SECONDS, LINES),
        ("number", "line"), "", None),
    "pane-has-pattern": (
        "bridge:has_pattern", "Exit 0 if a pane's last lines match, else 1.",
        "", (("pane", "pattern"), ("session", "pane", "pattern"),
             ("session", "pane", "pattern", "lines")),
        (PANE, PATTERN, LINES),
        (), "", None, "pane-has-pattern"),
    "pane-status": (
        "bridge:status", "Show a pane.",
        "", (("pane",), ("session", "pane")),
        (PANE,),
        (), "", None),
    "pane-is-running": (
        "bridge:is_running",
        "Exit 0 if a program runs in a pane, 1 if its shell is idle or it has ended.",
        "", (("pane",), ("session", "pane")),
        (PANE,),
        (), "", None),
    "pane-wait": (
        "bridge:wait", "Wait for a pane: its prompt or its end, if nothing else is named.",
        "The exit status is 0 when what was waited for came, 124 when it did not come in time.",
        ((), ("pane",), ("session", "pane"), ("session", "pane", "timeout")),
        (MAYBE_PANE, TIMEOUT),
        (), "", None, "pane-wait"),
    "pane-list-json": (
        "bridge:list_json", "List panes as JSON, also on a terminal.",
        "", ((), ("session",)),
        (MAYBE_SESSION,),
        (), "", None, "pane-list"),
    "pane-list-detailed": (
        "bridge:list_", "List panes with everything that is known of them.",
        "", ((), ("session",)),
        (MAYBE_SESSION,),
        ("id", "tmux_id", "name", "session", "window", "state", "pid", "command", "cwd", "width",
         "height", "labels", "owner", "created_at", "last_output_at"),
        "", None, "pane-list"),
    "pane-metadata-set": (
        "bridge:metadata_set", "Give a pane a label.",
        "", (("pane", "key", "value"), ("session", "pane", "key", "value")),
        (PANE, ("key", "string", True, "{}"), ("value", "string", True, "{}")),
        (), "mutates", None),
    "pane-metadata-get": (
        "bridge:metadata_get", "Show a label of a pane.",
        "", (("pane", "key"), ("session", "pane", "key")),
        (PANE, ("key", "string", True, "{}")),
        (), "", None),
    "pane-tail": (
        "bridge:tail", "Show a pane's last lines, then its output as it comes.",
        "", (("pane",), ("session", "pane"), ("session", "pane", "lines")),
        (PANE, LINES),
        (), "", None),
    "pane-stream": (
        "bridge:stream", "Show a pane's output as it comes, through a filter if one is given.",
        "", (("pane",), ("session", "pane"), ("session", "pane", "filter")),
        (PANE, ("filter", "string", False, '{"description":"Your own command line, run by sh."}')),
        (), "", None),
    "state-sync": (
        "bridge:state_sync", "Compare with tmux and repair.",
        "", ((), ("session",)),
        (("session", "string", False, '{"description":"Accepted; every session is compared."}'),),
        (), "", None),
}
# fmt: on


def with_base(entry: "Entry") -> "Entry":
    """Return an entry with the fields, columns and deadline of the command it stands before."""
    if len(entry) < 9:
        return entry
    from orchctl.commands import COMMANDS

    base: Entry | None = COMMANDS.get(entry[8])
    if base is None:
        return entry
    own = {field[0] for field in entry[4]}
    fields = entry[4] + tuple(field for field in base[4] if field[0] not in own)
    return (*entry[:4], fields, entry[5] or base[5], entry[6], base[7])
