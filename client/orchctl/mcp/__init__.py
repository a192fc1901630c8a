"""``orchctl mcp``: the daemon as tools, resources and prompts of the Model Context Protocol.

``server`` alone knows the protocol and its SDK. The tools (``panes``, ``work``, ``output``,
``overview``, ``decide``) are coroutines from arguments to a short JSON object; they know the
daemon by ``reach`` and their caller by ``tool.Turn``.
"""
