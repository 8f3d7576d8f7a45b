"""Shapes that operations on tensors make of others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from convert.layers.rows import Options, Shape, ShapeError, positive

MANY = 1000  # tensors
CONSTANTS = "constants"  # the option with what stands for tensors


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that tensors have together, as NumPy has it.

    Raises:
        ShapeError: they have none.
    """
    rank = max(map(len, shapes))
    found: list[int | None] = []
    for sizes in zip(*[(*[1] * (rank - len(one)), *one) for one in shapes], strict=True):
        known = {one for one in sizes if one not in (1, None)}
        if len(known) > 1:
            raise ShapeError(f"{' and '.join(map(str, shapes))} do not go together")
        found.append(known.pop() if known else None if None in sizes else 1)
    return tuple(found)


def constant_shape(value: Any) -> Shape:
    """Of a number, or of lists of them."""
    import numpy as np

    try:
        return tuple(np.shape(value))
    except ValueError:
        raise ShapeError("a constant has rows of different lengths") from None


def together(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of tensors, and of the constants among them."""
    constants = [one for one in options.get(CONSTANTS) or () if one is not None]
    return [broadcast([*shapes, *map(constant_shape, constants)])]


def multiplied(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of a product of matrices."""
    if min(map(len, shapes)) < 2:
        raise ShapeError("a product of matrices of what has no two axes")
    sides = [
        (*shape[:-2], shape[-1], shape[-2]) if options[f"transpose_{name}"] else shape
        for name, shape in zip("ab", shapes, strict=True)
    ]
    (*before, rows, inner), (*other, height, columns) = sides
    if None not in (inner, height) and inner != height:
        raise ShapeError(f"{sides[0]} and {sides[1]} have no product")
    return [(*broadcast([tuple(before), tuple(other)]), rows, columns)]


def axes_of(options: Options, shape: Shape) -> set[int]:
    """The axes that options name, counted from the front; all where they name none."""
    named = options["axes"]
    return {positive(one, len(shape)) for one in (range(len(shape)) if named is None else named)}


def reduced(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Without some axes, or with one cell along them."""
    places, kept = axes_of(options, shapes[0]), options["keepdims"]
    return [tuple(1 if at in places else one for at, one in enumerate(shapes[0])
                  if kept or at not in places)]  # fmt: skip


def without_axis(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Without one axis."""
    place = positive(options["axis"], len(shapes[0]))
    return [(*shapes[0][:place], *shapes[0][place + 1 :])]


def checked(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """As it was, if the axis is there."""
    positive(options["axis"], len(shapes[0]))
    return [shapes[0]]


def checked_all(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """As it was, if all axes are there."""
    axes_of(options, shapes[0])
    return [shapes[0]]


def reshaped(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Sizes with the batch's among them; what -1 stands for is the batch where nothing else is."""
    target, shape = options["shape"], shapes[0]
    fixed = math.prod(one for one in target if one != -1)
    inner = [one for one in shape if one is not None]
    whole = math.prod(inner)
    if fixed == 0 or (len(inner) == len(shape) and -1 not in target and whole != fixed):
        raise ShapeError(f"{shape} cannot become {target}")
    exact = whole // fixed if len(inner) == len(shape) and not whole % fixed else None
    return [tuple(exact if one == -1 else one for one in target)]


def turned(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Axes in another order."""
    order = options["axes"] or [*reversed(range(len(shapes[0])))]
    if sorted(order) != [*range(len(shapes[0]))]:
        raise ShapeError(f"axes {order} are not those of {shapes[0]}")
    return [tuple(shapes[0][one] for one in order)]


def expanded(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """With one more axis."""
    place = positive(options["axis"], len(shapes[0]) + 1)
    return [(*shapes[0][:place], 1, *shapes[0][place:])]


def squeezed(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Without axes of one cell."""
    if options["axes"] is None:
        if None in shapes[0][1:]:
            raise ShapeError(f"which axes of {shapes[0]} have the size 1 is not known")
        return [tuple(one for one in shapes[0] if one != 1)]
    places = axes_of(options, shapes[0])
    if any(shapes[0][one] not in (1, None) for one in places):
        raise ShapeError(f"axes {options['axes']} of {shapes[0]} are not of size 1")
    return [tuple(one for at, one in enumerate(shapes[0]) if at not in places)]


def joined(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of tensors one behind the other."""
    place = positive(options["axis"], len(shapes[0]))
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ShapeError("tensors to be joined have other numbers of axes")
    sizes = [shape[place] for shape in shapes]
    total = None if None in sizes else sum(one for one in sizes if one is not None)
    other = broadcast([(*shape[:place], 1, *shape[place + 1 :]) for shape in shapes])
    return [(*other[:place], total, *other[place + 1 :])]


def stacked(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of tensors along an axis of their own."""
    place, shape = positive(options["axis"], len(shapes[0]) + 1), broadcast(shapes)
    return [(*shape[:place], len(shapes), *shape[place:])]


def parts(options: Options, shapes: Sequence[Shape]) -> list[int]:
    """Sizes of parts: listed, or so many equal ones."""
    given = options["number"] or options["sections"]
    place = positive(options["axis"], len(shapes[0]))
    there = shapes[0][place]
    if there is None:
        raise ShapeError("what is split has a size that the file does not say")
    if isinstance(given, int):
        if given > MANY or there % given:
            raise ShapeError(f"{there} cells are no {given} equal parts")
        return [there // given] * given
    if given is None or sum(given) != there:
        raise ShapeError(f"parts of {given} are no {there} cells")
    return list(given)


def split(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of each part."""
    place = positive(options["axis"], len(shapes[0]))
    return [(*shapes[0][:place], one, *shapes[0][place + 1 :]) for one in parts(options, shapes)]


def unstacked(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of each place along an axis."""
    there = shapes[0][positive(options["axis"], len(shapes[0]))]
    if there is None or there > MANY:
        raise ShapeError(f"{there or 'an unknown number of'} tensors would come out")
    return without_axis(options, shapes) * there


def taken(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Of slices."""
    left, place = options["slices"], 0
    found: list[int | None] = []
    count = sum(one not in ("new", "...") for one in left)
    if count > len(shapes[0]):
        raise ShapeError(f"{count} axes are sliced of {shapes[0]}")
    for one in left:
        if one == "...":
            rest = len(shapes[0]) - count
            found += shapes[0][place : place + rest]
            place += rest
            continue
        if one == "new":
            found.append(1)
            continue
        there = shapes[0][place]
        place += 1
        if isinstance(one, int):
            if there is not None and not -there <= one < there:
                raise ShapeError(f"no place {one} in {there}")
        elif one == [None, None, None]:
            found.append(there)
        else:
            cells = None if there is None else len(range(*slice(*one).indices(there)))
            if cells == 0:
                raise ShapeError(f"nothing is left of {there} cells by {one}")
            found.append(cells)
    return [(*found, *shapes[0][place:])]


def padded(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """With borders."""
    pads = options["pads"]
    if len(pads) != len(shapes[0]):
        raise ShapeError(f"{len(pads)} pairs of borders, and {len(shapes[0])} axes")
    return [tuple(None if one is None else one + sum(pair)
                  for one, pair in zip(shapes[0], pads, strict=True))]  # fmt: skip


def tiled(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Several times along each axis."""
    times = options["times"]
    if len(times) != len(shapes[0]):
        raise ShapeError(f"{len(times)} numbers of times, and {len(shapes[0])} axes")
    return [tuple(None if one is None else one * n
                  for one, n in zip(shapes[0], times, strict=True))]  # fmt: skip


def repeated(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Each place several times."""
    place = positive(options["axis"], len(shapes[0]))
    return [tuple(one if one is None or at != place else one * options["times"]
                  for at, one in enumerate(shapes[0]))]  # fmt: skip


def blocks(deeper: bool) -> Callable[[Options, Sequence[Shape]], list[Shape]]:
    """Of blocks of cells that become channels, or of channels that become blocks."""

    def shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
        batch, *space, width = shapes[0]
        block = options["block"]
        cells = [width if not deeper else None, *(space if deeper else ())]
        if width is None or any(one is not None and one % (block if deeper else block**2)
                                for one in cells):  # fmt: skip
            raise ShapeError(f"{shapes[0]} has no blocks of {block}")
        sizes = [None if one is None else one // block if deeper else one * block
                 for one in space]  # fmt: skip
        return [(batch, *sizes, width * block**2 if deeper else width // block**2)]

    return shape
