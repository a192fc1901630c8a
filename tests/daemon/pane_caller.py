"""Run in a pane: makes calls from there and writes the answers down, then waits to be ended,
or for the end of its place.

    pane_caller.py SOCKET FILE WAY CALL...

Each call is JSON, ``["method", {params}]``; the file gets a list of results, or of the
errors' kinds. WAY: ``here`` in the pane's own session, ``detached`` in a session of its
own, ``orphaned`` also without its parent.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from orchctl.wire import Link, RpcError, connect


def main(socket: str, file: str, way: str, *calls: str) -> None:
    if way != "here" and os.fork():
        if way == "detached":
            os.wait()
        else:
            time.sleep(1000)
        return
    if way != "here":
        os.setsid()
    if way == "orphaned":
        parent = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == parent:
            time.sleep(0.001)
    link = Link(connect(socket, 5.0))
    answers = []
    for call in calls:
        method, params = json.loads(call)
        try:
            answers.append(json.loads(link.call(method, params)))
        except RpcError as error:
            answers.append(error.kind)
    Path(f"{file}.new").write_text(json.dumps(answers))
    Path(f"{file}.new").rename(file)
    while Path(file).exists():  # nobody ends it who has left the pane's session
        time.sleep(0.2)


main(*sys.argv[1:])
