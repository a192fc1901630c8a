"""Calls the daemon without a pause until its standard input ends; prints what it met.

Run by a test in the bed, with the path of the socket.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from orchctl.cli import Invocation
from orchctl.wire import RpcError

path = sys.argv[1]
calls, refused, slowest = 0, 0, 0.0
errors: list[str] = []
daemons: set[int] = set()
while not select.select([sys.stdin], [], [], 0)[0]:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            refused += 1
    began = time.monotonic()
    caller = Invocation({"socket": path, "autostart": False})
    try:
        daemons.add(json.loads(caller.call("daemon.ping"))["pid"])
    except RpcError as error:
        errors.append(str(error))
    caller.drop()
    slowest = max(slowest, time.monotonic() - began)
    calls += 1
found = {"calls": calls, "refused": refused, "errors": errors, "slowest": slowest}
print(json.dumps(found | {"daemons": len(daemons)}))
