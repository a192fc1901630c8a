"""The protocol: tools, resources and prompts on a pair of streams, by the official SDK.

Handlers return the wire's own JSON objects; the SDK checks them against the revision that
the client speaks (the handshake of 2025-11-25 and before, or 2026-07-28). What a tool
refuses is a result with ``isError``, so that a model reads it; only what no tool could
answer is an error of the protocol.
"""

import asyncio
import json
from typing import Any, TypeAlias

import mcp_types as types
from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from orchctl.manual import version
from orchctl.mcp import resources
from orchctl.mcp.offer import INSTRUCTIONS, TOOLS
from orchctl.mcp.prompts import PROMPTS
from orchctl.mcp.reach import Reach
from orchctl.mcp.tool import Json, Turn, refusal
from orchctl.wire import RpcError

INVALID_PARAMS = -32602
INTERNAL = -32603
CACHED = 3_600_000
"""Milliseconds for which a client may keep lists that cannot change while we run."""

Context: TypeAlias = "ServerRequestContext[Any, Any]"


class Desk:
    """Serves one client.

    State: which of its requests the client has taken back, until each has been told so;
    and whether it has left.
    """

    def __init__(self, daemon: Reach, cwd: str) -> None:
        self._left = asyncio.Event()
        self._daemon = daemon
        self._cwd = cwd
        self._taken_back: dict[str, asyncio.Event] = {}

    async def serve(self, incoming: Any, outgoing: Any) -> None:
        """Serve the client at the other end of the SDK's streams until it leaves."""
        server = self.server()
        try:
            await server.run(incoming, outgoing, server.create_initialization_options())
        finally:
            self._left.set()
            await self._daemon.close()

    def server(self) -> "Server[Any]":
        """Return the SDK's server with our handlers."""
        made: Server[Any] = Server(
            "orchestratord",
            version=version(),
            title="orchestratord",
            description="Terminals that outlive their users, shared by people and agents.",
            instructions=INSTRUCTIONS,
        )
        paged = types.PaginatedRequestParams
        made.add_request_handler("tools/list", paged, self._list_tools)
        made.add_request_handler("tools/call", types.CallToolRequestParams, self._call_tool)
        made.add_request_handler("resources/list", paged, self._list_resources)
        made.add_request_handler("resources/templates/list", paged, self._list_templates)
        made.add_request_handler("resources/read", types.ReadResourceRequestParams, self._read)
        made.add_request_handler("prompts/list", paged, self._list_prompts)
        made.add_request_handler("prompts/get", types.GetPromptRequestParams, self._get_prompt)
        made.middleware[:] = [self._notice]
        return made

    async def _notice(self, ctx: Context, call_next: CallNext) -> Any:
        """Keep in mind which requests the client takes back; the SDK cancels them."""
        params = ctx.params or {}
        if ctx.method == "notifications/cancelled" and "requestId" in params:
            self._take_back(str(params["requestId"])).set()
        return await call_next(ctx)

    def _take_back(self, request: str) -> asyncio.Event:
        return self._taken_back.setdefault(request, asyncio.Event())

    def _turn(self, context: Context) -> Turn:
        token = ((context.params or {}).get("_meta") or {}).get("progressToken")
        request = str(context.request_id)

        async def taken_back() -> bool:
            known = asyncio.ensure_future(self._take_back(request).wait())
            left = asyncio.ensure_future(self._left.wait())
            await asyncio.wait({known, left}, return_when=asyncio.FIRST_COMPLETED)
            for waiting in (known, left):
                waiting.cancel()
            found = self._taken_back.pop(request)
            return found.is_set()

        return Turn(
            self._daemon, context.session.report_progress, token is not None, self._cwd, taken_back
        )

    async def _list_tools(self, context: Context, params: Any) -> Json:
        return {"tools": [tool.definition() for tool in TOOLS.values()]} | _kept(CACHED)

    async def _call_tool(self, context: Context, params: Any) -> Json:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        given = params.arguments or {}
        try:
            tool.check(given)
            found = await tool.run(self._turn(context), given)
        except RpcError as error:
            return _result({"error": refusal(error)}, failed=True)
        finally:
            self._taken_back.pop(str(context.request_id), None)
        return _result(found, failed=False)

    async def _list_resources(self, context: Context, params: Any) -> Json:
        try:
            return {"resources": await resources.listed(self._turn(context))} | _kept(0)
        except RpcError as error:
            raise _protocol(error) from None

    async def _list_templates(self, context: Context, params: Any) -> Json:
        return {"resourceTemplates": resources.TEMPLATES} | _kept(CACHED)

    async def _read(self, context: Context, params: Any) -> Json:
        try:
            found = await resources.read(self._turn(context), str(params.uri))
        except RpcError as error:
            raise _protocol(error) from None
        if found is None:
            raise MCPError(INVALID_PARAMS, f"Unknown resource: {params.uri}")
        return {"contents": [found]} | _kept(0)

    async def _list_prompts(self, context: Context, params: Any) -> Json:
        return {"prompts": [prompt.definition() for prompt in PROMPTS.values()]} | _kept(CACHED)

    async def _get_prompt(self, context: Context, params: Any) -> Json:
        prompt = PROMPTS.get(params.name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
        try:
            text = prompt.filled(params.arguments or {})
        except KeyError as missing:
            raise MCPError(INVALID_PARAMS, f"Missing argument: {missing.args[0]}") from None
        message = {"role": "user", "content": {"type": "text", "text": text}}
        return {
            "description": prompt.description,
            "messages": [message],
            "resultType": "complete",
        }


def _kept(milliseconds: int) -> Json:
    """Return what ends each list of 2026-07-28: for how long a client may keep it."""
    return {"ttlMs": milliseconds, "cacheScope": "private", "resultType": "complete"}


def _result(found: Json, failed: bool) -> Json:
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": found,
        "isError": failed,
        "resultType": "complete",
    }


def _protocol(error: RpcError) -> MCPError:
    missing = error.code in (400, 404)
    return MCPError(INVALID_PARAMS if missing else INTERNAL, error.message, refusal(error))
