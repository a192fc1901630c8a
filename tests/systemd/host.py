"""A bed as the user sees it whom the daemon serves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bed import Bed, until


@dataclass(frozen=True)
class Host:
    """What tests do there; ``scope`` chooses the manager in systemctl."""

    bed: Bed
    user: str
    scope: tuple[str, ...]
    env: dict[str, str]

    def orchctl(self, *words: str, check: bool = True) -> Any:
        """Run orchctl as the user and return its answer, None if it gave none."""
        done = self.bed.run("orchctl", "--json", *words, user=self.user, env=self.env, check=check)
        return json.loads(done.stdout) if done.stdout else None

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run systemctl as whoever may manage the units; returns what it says."""
        user = self.user if self.scope else "root"
        argv = ("systemctl", *self.scope, *words)
        return self.bed.run(*argv, user=user, env=self.env, check=check).stdout.strip()

    def show(self, name: str, unit: str = "orchestratord") -> str:
        """Return a property of a unit."""
        return self.systemctl("show", "-P", name, unit)

    def daemon(self) -> str:
        """Return the pid of the daemon, 0 if it does not run."""
        return self.show("MainPID")

    def signal(self, name: str, unit: str = "orchestratord") -> str:
        """Signal a unit's process, once it has one; return its pid."""
        until(lambda: self.show("MainPID", unit) != "0", f"a process of {unit}")
        pid = self.show("MainPID", unit)
        assert int(pid) > 1, pid  # 0 would be whoever runs the tests
        self.bed.run("kill", f"-{name}", pid)
        return pid

    def kill_daemon(self) -> str:
        """End the daemon by SIGKILL; return the pid that it had."""
        return self.signal("KILL")

    def wait_for_another(self, pid: str) -> None:
        """Return when a daemon with another pid has said that it is ready."""

        def another() -> bool:
            said = self.systemctl("show", "-p", "MainPID,ActiveState", "orchestratord")
            state = dict(line.split("=") for line in said.splitlines())
            return state["ActiveState"] == "active" and state["MainPID"] not in ("0", pid)

        until(another, "another daemon")

    def pane(self, *argv: str, **params: object) -> Any:
        """Open a pane in a session of its own."""
        sessions = len(self.orchctl("session-list"))
        given = {"session": f"s-{sessions}", "create_session": True, **params}
        if argv:
            given["command"] = list(argv)
        return self.orchctl("call", "pane.create", json.dumps(given))

    def processes(self) -> dict[str, int]:
        """Return the process of each pane that lives."""
        panes = self.orchctl("pane-list")
        return {pane["id"]: pane["pid"] for pane in panes if pane["state"] != "exited"}

    def ended(self, pane: str) -> Any:
        """Wait until a pane has ended and return it."""
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.orchctl("pane-get", pane))
            return bool(found["state"] == "exited")

        until(has_ended, f"the end of {pane}")
        return found
