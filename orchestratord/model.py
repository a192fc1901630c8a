"""Values that every part speaks of: names, ids, sizes, and the Struct bases.

Nothing here does I/O or keeps state.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

NAME_PATTERN = r"^(?![pws][0-9]+$)[A-Za-z][A-Za-z0-9_-]{0,63}$(?!\n)"
NAME = re.compile(NAME_PATTERN)

Name = Annotated[
    str,
    Meta(
        pattern=NAME_PATTERN,
        description="A letter, then at most 63 letters, digits, _ or -; never like p1, w1, s1.",
        examples=["build", "dev-2"],
    ),
]
PaneRef = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="A pane: our id (p17), tmux's (%5), a name, or session/name. Never an index.",
        examples=["p17", "%5", "build", "dev/build"],
    ),
]
SessionRef = Annotated[
    str,
    Meta(min_length=1, max_length=100, description="A session: our id (s2) or its exact name."),
]
WindowRef = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="A window: our id (w4) or tmux's (@3)."),
]
Labels = Annotated[
    dict[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$(?!\n)")],
        Annotated[str, Meta(max_length=256)],
    ],
    Meta(description="Free key-value pairs to select by.", max_length=64),
]
Timeout = Annotated[
    float,
    Meta(ge=0, le=86400, description="Seconds after which the call ends, whatever came of it."),
]
Columns = Annotated[int, Meta(ge=2, le=1000, description="Width in columns.")]
Rows = Annotated[int, Meta(ge=2, le=1000, description="Height in rows.")]
ShellName = Annotated[
    str, Meta(max_length=4096, description="bash, zsh, fish, sh, or the absolute path of a shell.")
]
Placement = Literal["auto", "window", "right", "below"]


Argv = Annotated[
    list[Annotated[str, Meta(max_length=131_072)]],
    Meta(
        min_length=1,
        max_length=4096,
        description="Program and arguments, run without a shell. Absent: a shell.",
    ),
]
Environment = Annotated[
    dict[str, Annotated[str, Meta(max_length=131_072)]],
    Meta(description="Variables for the program; their values are never stored.", max_length=256),
]
Grace = Annotated[
    float, Meta(ge=0, le=60, description="Seconds from the hangup to SIGKILL, TERM half-way.")
]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a method's parameters. A field's ``Meta`` is its only documentation."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a method answers with."""


class Empty(Params, frozen=True):
    """No parameters."""
