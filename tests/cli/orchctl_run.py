"""Where the real script is, and what came of running it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).parents[2] / "client"
SCRIPT = CLIENT / "bin" / "orchctl"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Orchctl = Callable[..., Awaitable[Done]]
