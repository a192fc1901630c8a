"""Stands for the daemon's program where a test starts one: notes how it was started, serves ping.

Ends by itself when its ``daemon.stop`` is called, or after four minutes.
"""
# ruff: noqa: PTH108, PTH109, PTH110, PTH123

import json
import os
import signal
import socket
import sys

signal.alarm(240)
home = os.environ["HOME"]
with open(f"{home}/starts", "a") as file:
    file.write(json.dumps({"cwd": os.getcwd(), "env": dict(os.environ), "argv": sys.argv[1:],
                           "session": os.getsid(0) == os.getpid()}) + "\n")  # fmt: skip
if os.path.exists(f"{home}/broken"):
    print('{"level":"info","event":"starting"}', file=sys.stderr)
    print("orchestratord: the state directory is locked", file=sys.stderr)
    sys.exit(1)
if os.path.exists(f"{home}/gate"):  # a FIFO: go on when the test opens it
    with open(f"{home}/gate") as gate:
        gate.read()
path = os.environ["ORCHESTRATORD_SOCKET"]
if "--socket" in sys.argv:
    path = sys.argv[sys.argv.index("--socket") + 1]
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(200)
while True:
    peer, _ = server.accept()
    with peer, peer.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            result = {"version": "0.1.0", "pid": os.getpid(), "uptime": 1.0}
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": result}
            peer.sendall(json.dumps(answer).encode() + b"\n")
            if request["method"] == "daemon.stop":
                os.unlink(path)
                sys.exit(0)
