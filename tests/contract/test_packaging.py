"""What is installed is all of it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_of_the_source_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(init.parent.relative_to(base).parts)
        for base, name in ((ROOT, "orchestratord"), (ROOT / "client", "orchctl"))
        for init in (base / name).rglob("__init__.py")
    }
    assert found | {"orchctl.systemd", "orchctl.claude_plugin"} == set(listed)


def test_generated_files_are_what_the_methods_say() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "orchestratord", "--surfaces", str(ROOT), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout
