"""A daemon on another host: an sshd of our own on the loopback, with keys of its own."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path

from living import Place, until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
MISSING = [
    name
    for name, found in (
        ("sshd (openssh-server)", SSHD),
        ("ssh (openssh-client)", shutil.which("ssh")),
        ("ssh-keygen", shutil.which("ssh-keygen")),
    )
    if not found
]


class Sshd:
    """A running sshd and how to reach it. ``flags`` are what ``ssh`` needs to be told."""

    def __init__(self, place: Place) -> None:
        self.directory = place.directory / "ssh"
        self.directory.mkdir(mode=0o700)
        self.config = self.directory / "config"
        self.user = getpass.getuser()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"ssh://{self.user}@127.0.0.1:{self.port}"
        self.log = self.directory / "sshd.log"
        self._process: asyncio.subprocess.Process | None = None

    def prepare(self, environment: dict[str, str], forwarding: str) -> None:
        """Write keys and configurations."""
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / name)],
                check=True,
            )
        shutil.copy(self.directory / "user.pub", self.directory / "authorized")
        shown = " ".join(f'"{name}={value}"' for name, value in environment.items())
        (self.directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.directory}/host\n"
            f"AuthorizedKeysFile {self.directory}/authorized\nPidFile none\nUsePAM no\n"
            f"StrictModes no\nPasswordAuthentication no\nAllowStreamLocalForwarding {forwarding}\n"
            f"PermitUserRC no\nSetEnv {shown}\n"
        )
        key = (self.directory / "host.pub").read_text()
        (self.directory / "known").write_text(f"[127.0.0.1]:{self.port} {key}")
        self.config.write_text(
            f"Host *\n  IdentityFile {self.directory}/user\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.directory}/known\n  GlobalKnownHostsFile none\n"
            "  StrictHostKeyChecking yes\n  IdentityAgent none\n"
        )

    async def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as its own service would
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(SSHD), "-D", "-e", "-f", str(self.directory / "sshd_config"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        await until(lambda: b"Server listening" in self.log.read_bytes())

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
