"""Measuring models: a table of metrics, and what a card states beside what is measured."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names that __getattr__ finds, for type checkers and editors
    from .measuring import Measurement as Measurement
    from .measuring import evaluate as evaluate
    from .metrics import METRICS as METRICS
    from .metrics import Metric as Metric
    from .reporting import results_toml as results_toml

_HOMES = {
    "evaluate": "measuring",
    "Measurement": "measuring",
    "METRICS": "metrics",
    "Metric": "metrics",
    "results_toml": "reporting",
}

__all__ = ["METRICS", "Measurement", "Metric", "evaluate", "results_toml"]


def __getattr__(name: str) -> object:
    """Load the module behind a name on first use: torch takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
