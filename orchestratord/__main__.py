"""``orchestratord``: run the daemon in the foreground, or check something and end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import uvloop

from orchestratord import __version__, app, catalogue, config, log, process
from orchestratord.config import Configuration
from orchestratord.errors import Fault
from orchestratord.rpc import surfaces
from orchestratord.rpc.method import Table
from orchestratord.rpc.notify import Supervisor
from orchestratord.rpc.socket import activated


def main() -> int:
    """Run the program; the exit status is that of the fault's family, 0 after a stop."""
    options, flags = _arguments()
    if options.surfaces is not None:
        return _surfaces(options.surfaces, check=options.check)
    log.configure("info")
    try:
        configuration = config.load(flags, os.environ)
        if options.check:
            return 0
        _run(configuration, flags)
    except Fault as fault:
        problem = fault
    else:
        return 0
    return _refuse(problem)


def _run(configuration: Configuration, flags: dict[str, str]) -> None:
    log.configure(configuration.settings.log_level)
    process.prepare()
    uvloop.run(
        app.run(
            configuration,
            sockets=activated(),
            supervisor=Supervisor(),
            reread=lambda: config.load(flags, os.environ),
            # the kernel ends us if we cannot stop in time
            stopping=lambda: signal.alarm(app.STOP_SECONDS),
        )
    )


def _arguments() -> tuple[argparse.Namespace, dict[str, str]]:
    parser = config.parser()
    parser.add_argument("--version", action="version", version=f"orchestratord {__version__}")
    parser.add_argument(
        "--check", action="store_true", help="Check the configuration (or the surfaces), and end."
    )
    parser.add_argument(
        "--surfaces", metavar="ROOT", type=Path, help="Write the generated files below ROOT."
    )
    options = parser.parse_args()
    flags = {key: getattr(options, key) for key in config.table()}
    return options, {key: value for key, value in flags.items() if value is not None}


def _surfaces(root: Path, *, check: bool) -> int:
    table = Table.collect(catalogue.method_modules())
    changed = surfaces.stale(table, root) if check else surfaces.write(table, root)
    for path in changed:
        print(f"{'stale' if check else 'written'}: {path}")
    return 1 if check and changed else 0


def _refuse(fault: Fault) -> int:
    """Say why there is no daemon: for programs, and for a person who looks on."""
    # outside of the except block, or the log line would carry a traceback
    log.Log("main").error("cannot start", reason=str(fault), kind=fault.kind, hint=fault.hint)
    if sys.stderr.isatty():
        hint = f" ({fault.hint})" if fault.hint else ""
        print(f"orchestratord: {fault}{hint}", file=sys.stderr)
    return fault.exit_status


if __name__ == "__main__":
    sys.exit(main())
