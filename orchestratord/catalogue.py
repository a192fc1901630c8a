"""Which features there are and which modules hold their methods: found by looking, not listed.

The store's steps, the server's table and every generated surface begin here.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from orchestratord import features


def feature_packages() -> list[str]:
    """Return the features' packages by name, in a fixed order."""
    found = pkgutil.iter_modules(features.__path__, f"{features.__name__}.")
    return sorted(module.name for module in found if module.ispkg)


def method_modules() -> Iterator[ModuleType]:
    """Import and return every module of methods: ``methods`` of a feature, or those in it."""
    for package in feature_packages():
        name = f"{package}.methods"
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        yield module
        for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
            yield importlib.import_module(inner.name)
