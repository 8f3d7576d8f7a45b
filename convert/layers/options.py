"""Options of layers, read one by one: each of its type and range, or an error in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

MAX_SIZE = 2**31
MAX_AXES = 8
MAX_LISTED = 1000
REQUIRED = object()

NEVER = 9  # a version that no Keras has

Read = Callable[[Any, int], Any]  # a value and the version of Keras -> what the result says
Write = Callable[[Any, int], Any]  # the way back: what the result says -> a value of that version


def as_it_is(value: Any, keras: int) -> Any:
    """The same in the result and in the file."""
    return value


@dataclass(frozen=True)
class Key:
    """One option of a kind of layer.

    Attributes:
        read: takes the value of the file, raises `ValueError` with what it should be.
        default: what holds where the file has none, as the file would write it.
        name: what the result calls it; empty where by the same name.
        hidden: whether the result does without it, as shapes and weights say it all.
        write: takes what was read, raises `ValueError` with why that version cannot have it.
        since: the first version that has the option; before it the default holds.
    """

    read: Read
    default: Any = REQUIRED
    name: str = ""
    hidden: bool = False
    write: Write = as_it_is
    since: int = 2


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


def unless_on(default: Any = False) -> Key:
    """Such an option, which no file needs: it is off."""
    return Key(off, default, hidden=True, since=NEVER)


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


def share(value: Any, keras: int = 2) -> float:
    """A number from 0 to 1."""
    found = number(value)
    if not 0 <= found <= 1:
        raise ValueError("a number from 0 to 1")
    return found


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


def all_axes(value: Any, keras: int = 2) -> list[int] | None:
    """Numbers of axes, or nothing for every one."""
    return None if value is None else axes(value)


def whole_numbers(value: Any, keras: int = 2) -> list[int]:
    """Whole numbers of at least 1."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LISTED:
        raise ValueError("whole numbers of at least 1")
    return [size(one) for one in value]


def pairs(value: Any, keras: int = 2) -> list[list[int]]:
    """What is put before and after every axis, a pair each."""
    wanted = "a pair of numbers for every axis"
    if not isinstance(value, list) or len(value) > MAX_AXES:
        raise ValueError(wanted)
    if any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
        raise ValueError(wanted)
    return [_wholes(pair, 0, wanted) for pair in value]


def slices(value: Any, keras: int = 2) -> list[Any]:
    """Of each axis a place, `[start, stop, step]`, "..." for axes between, "new" for a new one."""
    found: list[Any] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping) and one.get("class_name") == "__ellipsis__":
            found.append("...")
        elif one is None or one in ("new", "..."):
            found.append(one or "new")
        elif isinstance(one, Mapping):
            inner = one.get("config", one)
            ends = [inner.get(name) if isinstance(inner, Mapping) else one
                    for name in ("start", "stop", "step")]  # fmt: skip
            found.append([_place(end) for end in ends])
        elif isinstance(one, list) and len(one) == 3:
            found.append([_place(end) for end in one])
        else:
            found.append(_place(one))
        if found[-1] is None or (isinstance(found[-1], list) and found[-1][2] == 0):
            raise ValueError("places and slices")
    if len(found) > 2 * MAX_AXES or found.count("...") > 1:
        raise ValueError("places and slices, one for each axis")
    return found


def _place(value: Any) -> int | None:
    number = _whole(value)
    if value is not None and (number is None or abs(number) > MAX_SIZE):
        raise ValueError("places and slices")
    return number


def constant(value: Any, keras: int = 2) -> Any:
    """Numbers that stand for tensors, each at its place; nothing where all are tensors."""
    return value if value is None else [None if one is None else exact(one) for one in value]


def exact(value: Any, keras: int = 2, depth: int = 0) -> Any:
    """A number or lists of them, as they are written."""
    if isinstance(value, list) and value and depth < MAX_AXES:
        return [exact(one, keras, depth + 1) for one in value]
    return value if isinstance(value, bool) else number(value)


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
    write=lambda value, keras: "channels_first" if value else "channels_last",
)
CHANNELS_OF_3 = replace(CHANNELS, since=3)  # where Keras 2 has channels last alone
CHANNELS_LAST = replace(CHANNELS, since=NEVER)
EPSILON = Key(number, 1e-3)
