"""Whether a file's shapes are those of a family, and what they then say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convert.images.rows import AXES, CODE, IMAGE, TABLE, Family, File, Part, Row
from convert.images.sizes import CHANNELS, Image, NoFit, image_of, write
from convert.images.units import Unit, Units
from convert.layers.graph import Network
from convert.layers.network import build

#: Axes of codes: of a vector, and of a vector at each place of a grid.
CODES = (2, 4)


@dataclass
class Fitted:
    """A part whose sizes are known.

    Attributes:
        part: its rows.
        units: the file's layer of every row that has weights, by the row's place.
        network: what it computes; nothing of a tensor of its own.
    """

    part: Part
    units: dict[int, Unit]
    network: Network | None = None

    def tensors(self) -> list[tuple[str, Unit]]:
        """Names of its layers with weights, each with the file's layer."""
        names = self.names()
        return [(names[place], unit) for place, unit in self.units.items()]

    def names(self) -> list[str]:
        """Names of the layers of its rows; of a tensor of its own the row's."""
        if self.network is None:
            return [row.name for row in self.part.rows]
        return [layer.name for layer in self.network.architecture.layers[1:]]


@dataclass
class Fit:
    """A file taken for one of a family.

    Attributes:
        family: the script.
        holds: which of its files.
        file: the same, as the table has it.
        parts: by name.
        image: what is known of the images.
        left: the file's layers that the result has no place for, such as a temperature.
    """

    family: Family
    holds: str
    file: File
    parts: dict[str, Fitted]
    image: Image
    left: tuple[Unit, ...] = ()

    @property
    def latent_size(self) -> int:
        """Width of the code, as far as encoder or decoder tell it; else 0."""
        for fitted in self.parts.values():
            part, network = fitted.part, fitted.network
            if network is None or not part.graph:
                continue
            codes = network.outputs[part.stages :] if part.reads == IMAGE else network.inputs
            shape = network.shapes[codes[0]]
            if shape is not None and len(shape) in CODES and shape[-1]:
                return shape[-1]
        return 0


def fit(
    family: Family, units: Units, image: Image, wanted: str | None = None
) -> tuple[list[Fit], list[str]]:
    """Take a file for each of a family's.

    Args:
        family: the script.
        units: the file's layers.
        image: what a person or the file's architecture says of the images.
        wanted: one of the family's files, to leave the others out.

    Returns:
        What fits, and why the others do not, the nearest first.
    """
    fits: list[Fit] = []
    misfits: list[tuple[int, str]] = []
    for holds, file in family.files.items():
        if wanted not in (None, holds):
            continue
        try:
            fits.append(_fit(family, holds, file, units, image))
        except NoFit as error:
            rows = sum(1 for name in file.parts for row in family.parts[name].rows if row.axes)
            misfits.append((abs(rows - len(units.found)), f"as {holds}, {error}"))
    return fits, [words for _, words in sorted(misfits, key=lambda one: one[0])]


def _fit(family: Family, holds: str, file: File, units: Units, image: Image) -> Fit:
    """A file as one of a family's.

    Raises:
        NoFit: it is none.
    """
    plain = tuple(unit for unit in units.found if unit.shapes[0])
    scalars = tuple(unit for unit in units.found if not unit.shapes[0])
    rows = [
        (name, place, row)
        for name in file.parts
        for place, row in enumerate(family.parts[name].rows)
        if row.axes
    ]
    taken = _in_order(rows, plain) if units.ordered else _by_class(rows, plain)
    parts = {name: Fitted(family.parts[name], {}) for name in file.parts}
    for (name, place, _), unit in zip(rows, taken, strict=True):
        parts[name].units[place] = unit
    for fitted in parts.values():
        image = agreed(image, image_of(fitted.part, fitted.units))
    for name, fitted in parts.items():
        if fitted.part.rows[0].kind != TABLE:
            fitted.network = _network(name, fitted, image)
    if image.channels not in (0, *CHANNELS):
        raise NoFit(f"its images have {image.channels} channels, and genae's have 1 or 3")
    found = Fit(family, holds, file, parts, image, scalars)
    _check_code(found)
    return found


Place = tuple[str, int, Row]


def _in_order(rows: Sequence[Place], units: Sequence[Unit]) -> list[Unit]:
    """A unit for each row, one after the other."""
    for number, ((name, _, row), unit) in enumerate(zip(rows, units, strict=False)):
        if not _is(row, unit):
            raise NoFit(
                f"layer {number + 1} of the file with weights is {unit}, where the {name} has a "
                f"{_what(row)}"
            )
    if len(rows) != len(units):
        raise NoFit(f"{len(units)} layers of the file have weights, and not {len(rows)}")
    return list(units)


def _by_class(rows: Sequence[Place], units: Sequence[Unit]) -> list[Unit]:
    """A unit for each row, one of its class after the other."""
    queues: dict[str, list[Unit]] = {}
    for unit in units:
        queues.setdefault(unit.kind, []).append(unit)
    wanted: dict[str, int] = {}
    taken = []
    for name, _, row in rows:
        kind = row.kind if row.kind in AXES else ""
        queue, place = queues.get(kind, []), wanted.get(kind, 0)
        wanted[kind] = place + 1
        if place < len(queue) and not _is(row, queue[place]):
            raise NoFit(f"the file has {queue[place]} where the {name} has a {_what(row)}")
        if place < len(queue):
            taken.append(queue[place])
    if len(taken) != len(units) or len(taken) != len(rows):
        raise NoFit(f"{len(units)} layers of the file have weights, and not {len(rows)}")
    return taken


def _what(row: Row) -> str:
    return "table of numbers" if row.kind == TABLE else row.kind


def _is(row: Row, unit: Unit) -> bool:
    """Whether a unit has the class and the axes of a row."""
    return unit.kind in ("", row.kind) and tuple(map(len, unit.shapes)) == row.axes


def agreed(one: Image, other: Image) -> Image:
    """What both say.

    Raises:
        NoFit: they contradict each other.
    """
    values = {}
    for name, words in (("size", "pixels a side"), ("channels", "channels")):
        found = {getattr(each, name) for each in (one, other)} - {0}
        if len(found) > 1:
            first, second = sorted(found)
            raise NoFit(f"images of {first} and of {second} {words} at once")
        values[name] = found.pop() if found else 0
    return Image(**values)


def _network(name: str, fitted: Fitted, image: Image) -> Network:
    """The part taken apart, where its weights have the shapes of the file.

    Raises:
        NoFit: they have not.
    """
    network = build(write(name, fitted.part, fitted.units, image))
    if network.problems:
        raise NoFit(f"the {name} does not compute: {network.problems[0]}")
    for layer, unit in zip(network.architecture.layers[1:], _in_place(fitted), strict=True):
        if unit is None:
            continue
        weights = network.layers[layer.name].weights
        for weight, tensor, shape in zip(weights, unit.tensors, unit.shapes, strict=True):
            if weight.shape != shape:
                raise NoFit(f"{tensor} is {shape}, and the {name} has {weight.shape} there")
    return network


def _in_place(fitted: Fitted) -> list[Unit | None]:
    return [fitted.units.get(place) for place in range(len(fitted.part.computed))]


def _check_code(found: Fit) -> None:
    """Raise unless encoder, decoder and what else reads codes agree on their width.

    Raises:
        NoFit: they do not; or an image has fewer values than a code, which no such script has.
    """
    widths: dict[int, str] = {}
    for name, fitted in found.parts.items():
        part, network = fitted.part, fitted.network
        ends = []
        if network is not None:
            ends += network.inputs if part.reads == CODE or part.makes == IMAGE else []
            ends += network.outputs[part.stages :] if part.makes == CODE else []
        for tensor in ends:
            assert network is not None
            shape = network.shapes[tensor]
            if shape is not None and len(shape) in CODES and shape[-1]:
                widths.setdefault(shape[-1], name)
        if network is None and (unit := next(iter(fitted.units.values()))):
            widths.setdefault(unit.shapes[0][-1], name)
    if len(widths) > 1:
        words = ", ".join(f"{width} of the {name}" for width, name in widths.items())
        raise NoFit(f"codes have several widths: {words}")
    image = found.image
    pixels = image.size**2 * image.channels
    if pixels and widths and min(widths) >= pixels:
        raise NoFit(f"codes of {min(widths)} numbers for {pixels} pixels")
