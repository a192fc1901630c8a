"""What a call costs: the rpc engine against a bare uvloop echo of the same bytes.

Both servers run in processes of their own; the client is one blocking socket.
Prints a table, or JSON with ``--json``. Figures marked (abs) hold for this
machine only; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import uvloop

from orchestratord.model import Empty, Result
from orchestratord.rpc.method import Table, method
from orchestratord.rpc.server import Server
from orchestratord.rpc.socket import listen

REQUEST = b'{"jsonrpc":"2.0","id":%d,"method":"bench.ping","params":{}}\n'
ASYNC_REQUEST = REQUEST.replace(b"bench.ping", b"bench.wait")
DEPTH = 256
"""Calls on the way at once when pipelined."""


class Bench:
    """The service of the methods below."""


class Pong(Result, frozen=True):
    """What ``daemon.ping`` answers."""

    version: str
    pid: int
    uptime: float


@method("bench.ping")
def ping(bench: Bench, params: Empty) -> Pong:
    """Answer at once: a plain function."""
    return Pong(version="0.1.0", pid=12345, uptime=123.456)


@method("bench.wait")
async def wait(bench: Bench, params: Empty) -> Pong:
    """Answer from a coroutine, which gets a task."""
    return ping(bench, params)


class Echo(asyncio.Protocol):
    """The least that a server can do."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve_echo(path: Path) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Echo, str(path))
    await server.serve_forever()


async def serve_rpc(path: Path) -> None:
    module = ModuleType("methods")
    module.ping, module.wait = ping, wait  # type: ignore[attr-defined]
    server = Server(Table.collect([module]), {Bench: Bench()})
    await server.serve(listen(path).socket)
    await asyncio.get_running_loop().create_future()


def run(serve: Any, path: Path) -> None:
    uvloop.run(serve(path))


def connect(path: Path) -> socket.socket:
    ends = time.monotonic() + 10
    while True:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(str(path))
            return client
        except OSError:
            client.close()
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)


def round_trips(client: socket.socket, request: bytes, count: int) -> list[float]:
    """Return the microseconds of each call, one after the other."""
    took = []
    for _ in range(count):
        began = time.perf_counter_ns()
        client.sendall(request % 1)
        while not client.recv(65536).endswith(b"}\n"):
            pass
        took.append((time.perf_counter_ns() - began) / 1000)
    return took


def pipelined(client: socket.socket, request: bytes, count: int) -> float:
    """Return calls a second, sent in bursts of ``DEPTH``; every one must succeed."""
    burst = b"".join(request % id for id in range(DEPTH))
    answered = succeeded = 0
    began = time.perf_counter()
    for _ in range(count // DEPTH):
        client.sendall(burst)
        waiting = DEPTH
        while waiting:
            data = client.recv(1 << 20)
            waiting -= data.count(b"\n")
            succeeded += data.count(b'"pid"')
        answered += DEPTH
    took = time.perf_counter() - began
    if succeeded < answered * 0.99:  # a name may be cut in two by recv
        raise RuntimeError(f"only {succeeded} of {answered} calls succeeded")
    return answered / took


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(calls: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench") as directory:
        private = Path(directory) / "private"
        private.mkdir(mode=0o700)
        paths = [private / "echo.sock", private / "rpc.sock"]
        servers: list[BaseProcess] = [
            multiprocessing.get_context("spawn").Process(target=run, args=(serve, path))
            for serve, path in zip((serve_echo, serve_rpc), paths, strict=True)
        ]
        for server in servers:
            server.start()
        try:
            echo, rpc = (connect(path) for path in paths)
            return compare(echo, rpc, calls, servers[1].pid or 0)
        finally:
            for server in servers:
                server.terminate()
                server.join()


def compare(echo: socket.socket, rpc: socket.socket, calls: int, pid: int) -> list[dict[str, Any]]:
    kinds = {
        "echo": (echo, REQUEST),
        "plain function": (rpc, REQUEST),
        "coroutine": (rpc, ASYNC_REQUEST),
    }
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for client, request in kinds.values():
        round_trips(client, request, calls // 10)
    for _ in range(10):  # in turn, so that a busy moment hits all alike
        for name, (client, request) in kinds.items():
            took[name] += round_trips(client, request, calls // 10)
    p50 = {name: statistics.median(times) for name, times in took.items()}
    rows = []
    for name, times in took.items():
        p99 = sorted(times)[len(times) * 99 // 100]
        row = {"what": f"{name}, p50", "value": p50[name], "unit": "us", "p99": p99}
        rows.append(row | {"ratio": p50[name] / p50["echo"]})
    for name in ("plain function", "coroutine"):
        client, request = kinds[name]
        before = cpu_seconds(pid)
        rate = pipelined(client, request, 10 * calls)
        used = cpu_seconds(pid) - before
        what = f"{name}, pipelined (abs)"
        rows.append(
            {"what": what, "value": rate, "unit": "/s", "per_core": 10 * calls / max(used, 0.01)}
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.calls)
    if options.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        extra = f"{row['ratio']:.2f} x echo, p99 {row['p99']:.0f}" if "ratio" in row else ""
        extra = extra or f"{row['per_core']:,.0f}/s per core of the server"
        print(f"{row['what']:<36}{row['value']:>12,.1f} {row['unit']:<4} {extra}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
