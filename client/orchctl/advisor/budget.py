"""Tokens: how many may be spent in all, and how many are.

A request holds what it may cost at most until it is known what it did cost; if
that never becomes known it counts as all of it.
"""

import asyncio

SMALLEST = 256
"""Output tokens below which asking a model makes no sense."""


class Budget:
    """What is left of ``total`` tokens; None is no limit."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.spent = 0
        self._held = 0
        self._settled = asyncio.Condition()

    async def take(self, input_: int, output: int) -> int:
        """Hold tokens for a request, waiting for those that run; return its output's limit.

        That is ``output``, or less if less is left; 0 says that the budget is
        spent, and nothing is held.
        """
        async with self._settled:
            while True:
                granted = output
                if self.total is not None:
                    left = self.total - self.spent - self._held - input_
                    granted = min(output, left)
                if granted == output or (granted >= SMALLEST and not self._held):
                    self._held += input_ + granted
                    return granted
                if not self._held:
                    return 0
                await self._settled.wait()

    async def settle(self, held: int, used: int) -> None:
        """Give back what was held, input and output, and count what was used."""
        async with self._settled:
            self._held -= held
            self.spent += used
            self._settled.notify_all()
