"""Each test has a machine of its own, booted for it, with our programs and no units."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from bed import Bed, boot, until, why_not
from host import Host

reason = cache(why_not)


@pytest.fixture
def bed() -> Iterator[Bed]:
    if why := reason():
        pytest.skip(why)
    with boot() as booted:
        yield booted


@pytest.fixture
def system(bed: Bed) -> Host:
    """The system's units, installed for alice."""
    bed.run("useradd", "-m", "-s", "/bin/bash", "alice")
    bed.run("orchctl", "systemd", "install", "--system", "--for", "alice")
    return Host(bed, "alice", (), {})


@pytest.fixture
def user(bed: Bed) -> Host:
    """A user with a manager and no units yet."""
    bed.run("useradd", "-m", "-s", "/bin/bash", "bob")
    runtime = f"/run/user/{bed.run('id', '-u', 'bob').stdout.strip()}"
    bed.run("loginctl", "enable-linger", "bob")
    until(bed.file(f"{runtime}/systemd/private").exists, "bob's manager")
    return Host(bed, "bob", ("--user",), {"XDG_RUNTIME_DIR": runtime})
