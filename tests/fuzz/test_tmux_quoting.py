"""Arguments that would do harm if tmux or a shell took them for more than text.

The seed is printed; ``ORCHESTRATORD_FUZZ_SEED`` repeats a run. The full storm is
``quoting_storm.py``.
"""

import os
import random

from quoting_storm import storm


async def test_hostile_arguments_arrive_byte_for_byte_and_nothing_is_executed() -> None:
    seed = int(os.environ.get("ORCHESTRATORD_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"seed {seed}")
    await storm(3_000, seed)
