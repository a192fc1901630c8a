"""Measures a whole ``orchctl daemon-ping`` against ``python3 -c pass``, as processes.

    python tests/bench/client.py [--rounds N] [--json] [--socket PATH]

Rounds are interleaved in random order; figures are medians in milliseconds and
ratios to the empty Python of the same run. Without a socket a loop that answers
at once stands for the daemon, so that only the client is measured. Bytecode is
compiled beforehand, as an installer does.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "client"
SCRIPT = str(CLIENT / "bin" / "orchctl")
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"version":"0","pid":1,"uptime":1.0}}\n'
ROWS = {
    "python3 -c pass": ["-c", "pass"],
    "python3 -S -c pass": ["-S", "-c", "pass"],
    "python3 -c 'import json'": ["-c", "import json"],
    "orchctl daemon-ping": [SCRIPT, "daemon-ping"],
    "orchctl pane-get p1": [SCRIPT, "pane-get", "p1"],
    "orchctl --version": [SCRIPT, "--version"],
}
REACH = 2.0


def answer(path: str) -> int:
    """Start a child that answers every request at once, and return its pid."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    if pid := os.fork():
        listener.close()
        return pid
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(ANSWER)


def once(words: list[str], env: dict[str, str], null: int) -> float:
    began = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *words],
        env,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)],
    )
    status = os.waitpid(pid, 0)[1]
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return took * 1000


def measure(rounds: int, path: str, cache: str) -> dict[str, float]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(CLIENT),
        "PYTHONPYCACHEPREFIX": cache,
        "ORCHESTRATORD_SOCKET": path,
        "ORCHCTL_NO_AUTOSTART": "1",
    }
    sys.pycache_prefix = cache
    compileall.compile_dir(str(CLIENT), quiet=2)
    null = os.open(os.devnull, os.O_WRONLY)
    figures: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name in random.sample(list(ROWS), len(ROWS)):
            figures[name].append(once(ROWS[name], env, null))
    return {name: statistics.median(taken) for name, taken in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--socket", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = options.socket or f"{place}/s"
        child = 0 if options.socket else answer(path)
        try:
            medians = measure(options.rounds, path, f"{place}/cache")
        finally:
            if child:
                os.kill(child, 9)
                os.waitpid(child, 0)
    base = medians["python3 -c pass"]
    if options.json:
        rows = {n: {"ms": round(ms, 2), "ratio": round(ms / base, 3)} for n, ms in medians.items()}
        print(json.dumps({"rows": rows, "reach": REACH}))
        return
    for name, ms in medians.items():
        print(f"{name:26} {ms:7.2f} ms  {ms / base:5.2f} x")
    print(f"reach for orchctl daemon-ping: {REACH:g} x")


if __name__ == "__main__":
    main()
