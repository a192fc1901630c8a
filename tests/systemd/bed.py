"""A machine of its own with a real systemd as PID 1, for as long as a test needs it.

The kernel is the tester's, everything else is private: processes, mounts, host
name, cgroups, and every change to a file, which stays in memory. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

REPOSITORY = Path(__file__).resolve().parents[2]
ENTER = Path(__file__).with_name("enter.sh")
INSTALLED = Path("/opt/orchestratord")
"""Where our programs are in the bed."""

NAMESPACES = ("--pid", "--mount", "--uts", "--ipc", "--cgroup")
PATH = f"{INSTALLED}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_SECONDS = 60.0


def why_not() -> str:
    """Return what keeps this machine from having a bed, or nothing; found out by trying."""
    if os.geteuid() != 0:
        return "a bed needs root"
    init = _systemd()
    missing = [tool for tool in ("unshare", "nsenter", "tmux", "useradd") if not shutil.which(tool)]
    if init is None or missing:
        return f"a bed needs {', '.join(missing) or 'systemd'}"
    if _cgroups() is None:
        return "a bed needs cgroup2"
    with tempfile.TemporaryDirectory(prefix="bed.") as base, _cgroup() as cgroup:
        tried = subprocess.run(
            _argv(cgroup, Path(base), "true"), capture_output=True, text=True, timeout=BOOT_SECONDS
        )
    return tried.stderr.strip() if tried.returncode else ""


@dataclass(frozen=True)
class Bed:
    """A running bed. ``pid`` is its PID 1, as seen from here."""

    pid: int

    def run(
        self,
        *argv: str,
        user: str = "root",
        env: Mapping[str, str] = MappingProxyType({}),
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in it to the end; by default its failure is the test's."""
        done = subprocess.run(
            self.argv(*argv, user=user, env=env), capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def argv(
        self, *argv: str, user: str = "root", env: Mapping[str, str] = MappingProxyType({})
    ) -> list[str]:
        """Return how a program is started in it from here."""
        home = "/root" if user == "root" else f"/home/{user}"
        known = {"PATH": PATH, "HOME": home, "USER": user, "LANG": "C.UTF-8", **env}
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}"]
        become += ["--init-groups"] if become else []
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-p", "-C", "-r", "-w"]
        return [*enter, "env", "-i", *(f"{k}={v}" for k, v in known.items()), *become, *argv]

    def file(self, path: str) -> Path:
        """Return a file of its file system, as seen from here."""
        return Path(f"/proc/{self.pid}/root", path.lstrip("/"))

    def journal(self, unit: str) -> str:
        """Return the last lines that a unit logged."""
        return self.run("journalctl", "--no-pager", "-n", "40", "-u", unit, check=False).stdout


@contextlib.contextmanager
def boot() -> Iterator[Bed]:
    """Boot a systemd, with our programs installed, and end it with all that it started."""
    with tempfile.TemporaryDirectory(prefix="bed.") as base, _cgroup() as cgroup:
        init = str(_systemd())
        with subprocess.Popen(
            _argv(cgroup, Path(base), init, "--unit=bed.target"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as unshare:  # fmt: skip
            try:
                bed = Bed(_first_process(unshare))
                _until_booted(bed)
                _install(bed)
                yield bed
            finally:
                unshare.kill()  # and with it, by --kill-child, PID 1 and all others


def _argv(cgroup: Path, base: Path, *init: str) -> list[str]:
    join = f'echo $$ >{cgroup}/cgroup.procs; exec "$@"'
    unshare = ["unshare", "--fork", "--kill-child=KILL", "--propagation=private", *NAMESPACES]
    root = Path("/").stat().st_dev
    paths = "\n".join(str(path) for path in _needed() if path.stat().st_dev != root)
    return ["sh", "-c", join, "sh", *unshare, "sh", str(ENTER), str(base), paths, *init]


def _needed() -> list[Path]:
    return [REPOSITORY, Path(sysconfig.get_path("purelib")), Path(sys.base_prefix)]


def _systemd() -> Path | None:
    places = (Path("/usr/lib/systemd/systemd"), Path("/lib/systemd/systemd"))
    return next((place for place in places if place.exists()), None)


def _cgroups() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(where)
    return None


@contextlib.contextmanager
def _cgroup() -> Iterator[Path]:
    """Make a cgroup, and remove it with those that were made in it."""
    cgroup = Path(tempfile.mkdtemp(prefix="bed.", dir=_cgroups()))
    cgroup.chmod(0o755)  # users' managers go through it to theirs
    try:
        yield cgroup
    finally:
        until(lambda: _removed(cgroup), "the bed's processes to be gone")


def _removed(cgroup: Path) -> bool:
    try:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            Path(directory).rmdir()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for a condition that is outside of this process; fail at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


def _first_process(unshare: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")

    def is_systemd() -> bool:
        if unshare.poll() is not None:
            assert unshare.stderr is not None
            raise AssertionError(f"the bed did not boot: {unshare.stderr.read().decode()}")
        found = children.read_text().split()
        with contextlib.suppress(OSError):
            return bool(found) and Path(f"/proc/{found[0]}/comm").read_text() == "systemd\n"
        return False

    until(is_systemd, "systemd to begin", BOOT_SECONDS)
    return int(children.read_text())


def _until_booted(bed: Bed) -> None:
    states: list[str] = []

    def booted() -> bool:
        said = bed.run("systemctl", "is-system-running", check=False).stdout.strip()
        states.append(said)
        return said in ("running", "degraded")

    until(booted, "the bed to boot", BOOT_SECONDS)
    if states[-1] == "degraded":
        raise AssertionError(bed.run("systemctl", "--failed", "--no-pager").stdout)


def _install(bed: Bed) -> None:
    """Install our programs as a package manager does; every user can reach them."""
    bed.run(sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(INSTALLED))
    python = INSTALLED / "bin" / "python"
    library = bed.file(bed.run(
        str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    ).stdout.strip())  # fmt: skip
    places = [str(REPOSITORY), str(REPOSITORY / "client"), sysconfig.get_path("purelib")]
    (library / "bed.pth").write_text("\n".join(places) + "\n")
    source = (REPOSITORY / "client" / "bin" / "orchctl").read_text()
    scripts = {
        "orchctl": source.partition("\n")[2],
        "orchestratord": "import sys\nfrom orchestratord.__main__ import main\nsys.exit(main())\n",
    }
    for name, text in scripts.items():
        script = bed.file(f"{INSTALLED}/bin/{name}")
        script.write_text(f"#!{python}\n{text}")
        script.chmod(0o755)
    for place in _needed():
        closed = [str(p) for p in (place, *place.parents) if not p.stat().st_mode & 0o005]
        if closed:
            bed.run("chmod", "o+rx", *closed)  # in the overlay only
