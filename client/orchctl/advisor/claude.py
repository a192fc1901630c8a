"""Asking Claude: one request a decision, bounded in time and tokens; no error gets out.

The only module that imports the ``anthropic`` SDK, which takes a second and 55
MB. The key is given to the SDK's client and to nobody else.
"""

import asyncio
import json
import secrets
from dataclasses import replace
from typing import Any

import anthropic

from orchctl.advisor.asked import Asked
from orchctl.advisor.budget import Budget
from orchctl.advisor.prompt import Structure, Verdict, request, verdict

RETRIES = 2
"""After 408, 409, 429, 5xx and lost connections, by the SDK, within the time for the answer."""

BYTES_A_TOKEN = 3
"""Of the request's text; English has four, code and other scripts have less."""


class Claude:
    """A client of the Messages API. ``seconds`` bounds an answer with all its retries."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None,
        model: str,
        max_tokens: int,
        effort: str | None,
        structure: Structure,
        budget: Budget,
        seconds: float,
    ) -> None:
        self._key = key
        self._api = anthropic.AsyncAnthropic(
            api_key=key, base_url=base_url, max_retries=RETRIES, timeout=seconds
        )
        self._model = model
        self._max_tokens = max_tokens
        self._effort = effort
        self._structure = structure
        self._budget = budget
        self._seconds = seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def decide(self, asked: Asked) -> Verdict:
        """Ask, and return the choice or the problem.

        Ends at the decision's deadline at the latest. Cancelling it ends the
        request, which then counts as all that it may have cost.
        """
        body = request(asked, secrets.token_hex(8), self._structure)
        if self._effort:
            body.setdefault("output_config", {})["effort"] = self._effort
        input_ = len(str(body).encode()) // BYTES_A_TOKEN
        granted = await self._budget.take(input_, self._max_tokens)
        if not granted:
            return Verdict(problem=f"the budget of {self._budget.total} tokens is spent")
        used = most = input_ + granted
        try:
            found = await self._ask(asked, body | {"max_tokens": granted}, most)
            used = found.tokens
            return found
        finally:
            await asyncio.shield(self._budget.settle(most, used))

    async def _ask(self, asked: Asked, body: dict[str, Any], unknown: int) -> Verdict:
        """Ask the API; what it cost is ``unknown`` tokens where no answer says it."""
        seconds = min(self._seconds, asked.seconds_left)
        if seconds <= 0:
            return Verdict(problem="its deadline is reached")
        try:
            async with asyncio.timeout(seconds):
                api = self._api.messages.with_raw_response
                raw = await api.create(model=self._model, **body)
                reply = json.loads(raw.http_response.content)  # the SDK would take any shape
        except (TimeoutError, anthropic.APITimeoutError):
            return Verdict(problem=f"no answer within {round(seconds, 1):g} s", tokens=unknown)
        except anthropic.APIStatusError as error:
            return Verdict(problem=self._refusal(error))
        except anthropic.APIConnectionError as error:
            cause = type(error.__cause__).__name__ if error.__cause__ else "no connection"
            return Verdict(problem=f"the API cannot be reached ({cause})", tokens=unknown)
        except anthropic.AnthropicError as error:
            return Verdict(problem=f"the SDK gave up ({type(error).__name__})", tokens=unknown)
        except (ValueError, RecursionError):
            return Verdict(problem="the API's answer is no JSON", tokens=unknown)
        found = verdict(reply, asked.options, self._structure)
        return found if found.tokens else replace(found, tokens=unknown)

    def _refusal(self, error: anthropic.APIStatusError) -> str:
        """Say what the API answered; a server may repeat the key, we do not."""
        said = error.api_message if isinstance(error.api_message, str) else ""
        said = said.replace(self._key, "***")[:200]
        return f"the API answered {error.status_code}" + (f": {said}" if said else "")
