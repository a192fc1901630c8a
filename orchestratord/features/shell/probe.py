"""Asking a line editor whether somebody has begun to type, where its output does not tell."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from orchestratord.features.panes.hand import Hand
from orchestratord.features.shell.integration import Kind
from orchestratord.features.shell.shell import Shell

PROBED = 0.5
"""Seconds for a shell at its prompt to answer."""

PROBES: Mapping[Kind, bytes] = {"zsh": b"\x1b[7717;3~", "fish": b"\x1b[7717;3~"}
"""What is typed to have a line editor say whether there is a draft. What zsh and fish draw right
behind a prompt may be one, or a part of the prompt; the others draw nothing else there."""


async def probe(shell: Shell, hand: Hand) -> None:
    """Have a shell at its prompt say whether there is a draft; its prompt's state is then right.

    ``hand`` has the pane's keyboard.
    """
    keys = PROBES.get(shell.kind)
    if keys is None or shell.prompt.state != "idle" or shell.current is not None:
        return
    shell.probed.clear()
    await hand.type(keys)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PROBED):
            await shell.probed.wait()
