"""Lossless compression of pictures by bits back, in files that any machine opens.

Neural networks in floating point do not give the same bits on another machine, and a decoder that
differs from the encoder in one bit loses everything behind it. Here networks run on integers
(`integers`), distributions come from stored tables by steps that IEEE 754 fixes to the last bit
(`tables`, `distributions`), and `constriction` codes (`chains`). The format is in `container`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names that __getattr__ finds, for type checkers and editors
    from .codec import Codec, load_codec
    from .verbs import compress, decompress, predict

_HOMES = {
    "Codec": "codec",
    "load_codec": "codec",
    "compress": "verbs",
    "decompress": "verbs",
    "predict": "verbs",
}

__all__ = ["Codec", "compress", "decompress", "load_codec", "predict"]


def __getattr__(name: str) -> object:
    """Load the module behind a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
