"""From rows and the shapes of a file to an architecture with its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from convert.images.rows import IMAGE, MAP, TABLE, Part, Row
from convert.images.units import Unit
from convert.layers.form import INPUT, Architecture, Call, Layer, Reference

CHANNELS = (1, 3)  # of the images that genae's models read


@dataclass(frozen=True)
class Image:
    """What is known of a model's images.

    Attributes:
        size: height and width; 0 where it is not known.
        channels: 0 where it is not known.
    """

    size: int = 0
    channels: int = 0


class NoFit(ValueError):
    """Shapes are not those of a part."""


def filled(rows: Sequence[Row], units: Mapping[int, Unit]) -> list[dict[str, object]]:
    """Options of every row, sizes of kernels put in."""
    found = []
    for place, row in enumerate(rows):
        options = dict(row.options)
        if (unit := units.get(place)) is not None and row.kind != TABLE:
            kernel = unit.shapes[0]
            if row.kind == "Dense":
                options["units"] = kernel[1]
            elif row.kind in ("Conv2D", "Conv2DTranspose"):
                options["filters"] = kernel[3 if row.kind == "Conv2D" else 2]
        found.append(options)
    return found


def image_of(part: Part, units: Mapping[int, Unit]) -> Image:
    """What a part's shapes tell of its images.

    Raises:
        NoFit: no square image has such shapes.
    """
    if part.reads == IMAGE:
        return _read(part.rows, units)
    return _made(part.rows, units) if part.makes == IMAGE else Image()


def _read(rows: Sequence[Row], units: Mapping[int, Unit]) -> Image:
    """Of an encoder: the channels of its first kernel, the size behind its Flatten."""
    first = units[min(units)].shapes[0]
    if rows[min(units)].kind == "Dense":
        return _flat(first[0])
    channels, strides, width = first[2], 1, 0
    for place, row in enumerate(rows):
        if row.kind == "Flatten":
            after = units[min(one for one in units if one > place)].shapes[0][0]
            return Image(_side(after, width) * strides, channels)
        sides = row.options.get("strides")
        strides *= sides[0] if isinstance(sides, list) else 1
        if row.kind == "Conv2D":
            width = units[place].shapes[0][3]
    return Image(0, channels)


def _made(rows: Sequence[Row], units: Mapping[int, Unit]) -> Image:
    """Of a decoder: the size that its first map grows to, the channels of its last kernel."""
    last = units[max(units)].shapes[0]
    if rows[max(units)].kind == "Dense":
        return _flat(last[1])
    maps = [place for place, row in enumerate(rows) if row.kind == "Reshape"]
    if not maps:
        return Image(0, last[2])
    return Image(map_side(maps[0], units) * _growth(rows), last[2])


def _growth(rows: Sequence[Row]) -> int:
    """How many times as high and wide rows make a map."""
    strides = [row.options.get("strides") for row in rows]
    return math.prod(sides[0] for sides in strides if isinstance(sides, list))


def map_side(place: int, units: Mapping[int, Unit]) -> int:
    """Height and width of the map that a vector becomes at a place among the rows."""
    before = units[max(one for one in units if one < place)].shapes[0]
    after = units[min(one for one in units if one > place)].shapes[0]
    return _side(before[1], after[3])


def _flat(values: int) -> Image:
    for channels in CHANNELS:
        side = math.isqrt(values // channels)
        if side > 1 and side * side * channels == values:
            return Image(side, channels)
    raise NoFit(f"{values} values are no square image of 1 or 3 channels")


def _side(values: int, width: int) -> int:
    side = math.isqrt(values // width) if width else 0
    if not side or side * side * width != values:
        raise NoFit(f"{values} values are no square map of {width} channels")
    return side


def write(name: str, part: Part, units: Mapping[int, Unit], image: Image) -> Architecture:
    """A part's architecture, in the form that files of Keras are brought into.

    Args:
        name: of the part.
        part: its rows.
        units: the file's layer of every row that has weights, by the row's place.
        image: what the whole model's shapes, or a person, say of its images.
    """
    rows = part.computed
    options = filled(rows, units)
    layers = [Layer("input", INPUT, {"batch_input_shape": _input_shape(part, units, image)})]
    counts: dict[str, int] = {}
    for place, (row, given) in enumerate(zip(rows, options, strict=True)):
        if row.kind == "Reshape":
            side = map_side(place, units)
            width = units[min(one for one in units if one > place)].shapes[0][3]
            given["target_shape"] = [side, side, width]
        counts[row.kind] = counts.get(row.kind, 0) + 1
        own = row.name or f"{_plain(row.kind)}_{counts[row.kind]}"
        sources = row.inputs or (layers[-1].name,)
        calls = [Call(tuple(map(Reference, sources)))]
        layers.append(Layer(own, row.kind, given, calls))
    outputs = part.outputs or (layers[-1].name,)
    return Architecture(name, layers, [Reference("input")], [*map(Reference, outputs)])


def _plain(kind: str) -> str:
    from convert.layers.weights import snake_case

    return snake_case(kind)


def _input_shape(part: Part, units: Mapping[int, Unit], image: Image) -> list[int | None]:
    first = units[min(units)].shapes[0]
    width = first[2] if len(first) == 4 else first[0]
    if part.reads == MAP:
        side = image.size // _growth(part.rows) if part.makes == IMAGE else 0
        return [None, side or None, side or None, width]
    if len(first) < 4:
        return [None, width]
    return [None, image.size or None, image.size or None, width]
