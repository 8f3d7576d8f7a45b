"""Facades: a package's public names, listed once in its `__init__.pyi`, imported when touched.

Type checkers and editors read the same list. Every line of it is an import of its own::

    from zoo.card import Card as Card
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

LINE = re.compile(r"^from (\S+) import (\w+) as \2$", re.MULTILINE)


def attach(
    package: str, more: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's `__init__.py` binds to `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: its `__name__`. A name may also be that of a module inside the package
            (`from zoo import data as data`).
        more: names that the package has whether listed or not, each with its module.
    """
    stub = (pkgutil.get_data(package, "__init__.pyi") or b"").decode("utf-8")
    homes = {name: home for home, name in LINE.findall(stub)} | dict(more or {})

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if homes[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    public = sorted(name for name, home in homes.items() if home != package)
    return get, lambda: sorted({*vars(sys.modules[package]), *homes}), public
