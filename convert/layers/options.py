"""Options of layers, read one by one: each of its type and range, or an error in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_SIZE = 2**31
MAX_AXES = 8
REQUIRED = object()

Read = Callable[[Any, int], Any]  # a value and the version of Keras -> what the result says


@dataclass(frozen=True)
class Key:
    """One option of a kind of layer.

    Attributes:
        read: takes the value of the file, raises `ValueError` with what it should be.
        default: what holds where the file has none, as the file would write it.
        name: what the result calls it; empty where by the same name.
        hidden: whether the result does without it, as shapes and weights say it all.
    """

    read: Read
    default: Any = REQUIRED
    name: str = ""
    hidden: bool = False


Keys = Mapping[str, Key]


def read_options(keys: Keys, given: Mapping[str, Any], keras: int) -> dict[str, Any]:
    """The options of a layer, under the names of the result.

    Raises:
        ValueError: one is missing or has a value that it cannot have.
    """
    found = {}
    for name, key in keys.items():
        value = given.get(name, key.default)
        if value is REQUIRED:
            raise ValueError(f"option {name} is missing; save the model again")
        try:
            taken = key.read(value, keras)
        except ValueError as error:
            raise ValueError(f"option {name} is {value!r:.60}, not {error}") from None
        found[key.name or name] = taken
    return found


def flag(value: Any, keras: int = 2) -> bool:
    """True or false; numbers 0 and 1 too."""
    if value is None or value in (0, 1):
        return bool(value)
    raise ValueError("true or false")


def off(value: Any, keras: int = 2) -> bool:
    """An option that changes what is computed and is not supported, unless it is off."""
    if value in (None, False, 0):
        return False
    raise ValueError("off; on it is not supported")


def size(value: Any, keras: int = 2) -> int:
    """A whole number of at least 1."""
    number = _whole(value)
    if number is None or not 1 <= number < MAX_SIZE:
        raise ValueError("a whole number of at least 1")
    return number


def number(value: Any, keras: int = 2) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number")
    return float(value)


def single(value: Any, keras: int = 2) -> float:
    """A number as Keras keeps it, of single precision whatever the model computes in."""
    import numpy as np

    return float(np.float32(number(value)))


def decimal(value: Any, keras: int = 2) -> float:
    """The number that a person wrote of which the file has the single precision."""
    import numpy as np

    return float(str(np.float32(number(value))))


def numbers(value: Any, keras: int = 2) -> Any:
    """A number, lists of them, or nothing; of single precision."""
    if value is None:
        return None
    if isinstance(value, list):
        if not value or None in value:
            raise ValueError("numbers")
        return [numbers(one) for one in value]
    return single(value)


def axis(value: Any, keras: int = 2) -> int:
    """The number of an axis."""
    number = _whole(value)
    if number is None or abs(number) > MAX_AXES:
        raise ValueError("the number of an axis")
    return number


def axes(value: Any, keras: int = 2) -> list[int]:
    """Numbers of axes; one alone too."""
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_AXES:
        raise ValueError("numbers of axes")
    return [axis(one) for one in values]


def maybe(read: Read) -> Read:
    """The same, or nothing."""
    return lambda value, keras: None if value is None else read(value, keras)


def choice(*words: str) -> Read:
    """One of some words."""

    def read(value: Any, keras: int) -> str:
        if value not in words:
            raise ValueError(" or ".join(words))
        return str(value)

    return read


def sizes(rank: int) -> Read:
    """A whole number of at least 1 for each axis of space, or one for all."""

    def read(value: Any, keras: int) -> list[int]:
        values = value if isinstance(value, list) else [value] * rank
        if len(values) != rank:
            raise ValueError(f"{rank} whole numbers")
        return [size(one) for one in values]

    return read


def pads(rank: int) -> Read:
    """What is put before and after each axis of space: one number, one an axis, or pairs."""

    def read(value: Any, keras: int) -> list[list[int]]:
        if isinstance(value, Mapping):  # Keras 1's, by names of sides
            names = [f"{side}_pad" for side in ("top", "bottom", "left", "right")]
            taken = [value.get(name, 0) for name in names]
            value = [taken[:2], taken[2:]]
        if rank == 1 and isinstance(value, list) and len(value) == 2:
            value = [value]
        values = value if isinstance(value, list) else [value] * rank
        if len(values) != rank:
            raise ValueError(f"{rank} pairs of numbers")
        pairs = [one if isinstance(one, list) else [one, one] for one in values]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"{rank} pairs of numbers")
        return [_wholes(pair, 0, f"{rank} pairs of numbers") for pair in pairs]

    return read


def output_padding(rank: int) -> Read:
    """Cells put at the end of each axis, or nothing, which is something else than none."""

    def read(value: Any, keras: int) -> list[int] | None:
        if value is None:
            return None
        values = value if isinstance(value, list) else [value] * rank
        if len(values) != rank:
            raise ValueError(f"{rank} whole numbers")
        return _wholes(values, 0, f"{rank} whole numbers")

    return read


def target_shape(value: Any, keras: int = 2) -> list[int]:
    """Sizes of axes, of which one may be -1, to be worked out."""
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_AXES:
        raise ValueError("sizes of axes")
    found = _wholes(values, -1, "sizes of axes")
    if found.count(-1) > 1:
        raise ValueError("sizes of axes, at most one of them -1")
    return found


def _wholes(values: list[Any], least: int, wanted: str) -> list[int]:
    """Whole numbers of at least so much; a `ValueError` says what was wanted."""
    numbers = map(_whole, values)
    found = [one for one in numbers if one is not None and least <= one < MAX_SIZE]
    if len(found) < len(values):
        raise ValueError(wanted)
    return found


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int else None


#: Options that many kinds have.
USE_BIAS = Key(flag, True, hidden=True)
CHANNELS = Key(
    lambda value, keras: (
        choice("channels_last", "channels_first")(
            "channels_last" if value in (None, "default") else value, keras
        )
        == "channels_first"
    ),
    None,
    "channels_first",
)
EPSILON = Key(number, 1e-3)
