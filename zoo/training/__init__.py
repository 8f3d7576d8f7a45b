"""Training from cards, on `transformers.Trainer`."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`train`, imported when it is first used."""
    if name == "train":
        from .run import train

        return train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
