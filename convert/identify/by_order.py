"""Files whose names mean nothing: layers are identified by their shapes and their order.

Object graphs, Keras 3's files and layers that Keras numbered itself (`dense_1`) name no part of
the model. Each layer of the family's table, in the order in which bert4keras builds them, takes
the first layer of the file that is left and has weights of the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from convert import families
from convert.families.base import Family, Settings
from convert.names.naming import Naming
from convert.weights.ops import TRANSPOSE
from convert.weights.rows import PLACE, Row, expand
from zoo.errors import IntegrityError, UsageError

#: Parts that every model of a family has, or that the configuration tells.
CERTAIN = ("body", "segments")
STACKS = ("encoder", "decoder")
#: Whose sizes no configuration has: the file's layers tell whether there is any.
CONDITIONS = ("condition", "hidden_condition", "conditions")

#: What to say where sizes do not distinguish layers.
RESIZED = (
    " With autoresize_weights the sizes in the file are others than the configuration's, and "
    "layers whose names mean nothing are identified by their sizes alone: give a file whose "
    "layers have names, such as save_weights in HDF5 or a checkpoint of TensorFlow."
)

Shapes = list[tuple[int, ...]]
Layer = tuple[str, Shapes]  # of the table
Stored = tuple[tuple[str, ...], Shapes]  # of the file: its tensors


def match(
    name: str | None,
    naming: Naming,
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[tuple[Family, Naming]]:
    """The families that fit the order, each with names as its rows use them.

    Those that take the maximum of the layers; one of several that are equal.

    Args:
        name: of the family; None tries each.
        naming: of kind "order".
        tensors: by stored name; their `shape` is looked at.
        config: the legacy configuration.
        options: those given to the builder.

    Raises:
        IntegrityError: none fits.
    """
    stored: list[Stored] = [
        (members, [tuple(tensors[member].shape) for member in members])
        for members in naming.layers
    ]
    tried = [families.find(name)] if name else families.FAMILIES
    found = {
        family.name: (family, names)
        for family in tried
        if (names := _names(family, stored, config, options)) is not None
    }
    if not found:
        shapes = "; ".join(f"{members[0]} {sizes[0]}" for members, sizes in stored[:3])
        raise IntegrityError(
            f"the layers are in no order that is known of {name or 'any family'}: {shapes} ... "
            f"{_nearest(tried, stored, config, options)}. Is it the right configuration "
            "(--config) and are the options those of the model?"
            + (RESIZED if options.get("autoresize_weights") else "")
        )
    max_taken = max(len(names) for _, names in found.values())
    found = {key: pair for key, pair in found.items() if len(pair[1]) == max_taken}
    for twin in families.twins(found):
        del found[twin]
    return [(family, _named(family, names, tensors)) for family, names in found.values()]


def _named(family: Family, names: Mapping[str, str], tensors: Mapping[str, Any]) -> Naming:
    """The names that were found; what is left keeps the one it has."""
    taken = set(names.values())
    rest = {one: one for one in tensors if one not in taken}
    note = (
        f"the names in the file mean nothing: layers were taken for those of {family.title} "
        "by shape and order (convert/README.md)"
    )
    return Naming("keras", {**names, **rest}, notes=(note,))


def _names(
    family: Family,
    stored: list[Stored],
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, str] | None:
    """The rows' names -> stored ones, with the parts of the family that take the maximum."""
    parts = {part for row in family.rows for part in row.part.split("+")}
    optional = sorted(parts - {*CERTAIN, *CONDITIONS})
    condition = _condition(stored)
    best: dict[str, str] | None = None
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            wanted = _wanted(family, {*CERTAIN, *chosen}, condition, config, options)
            names = None if wanted is None else _pair(wanted, stored)
            if names is not None and len(names) > len(best or ()):
                best = names
    return best


def _nearest(
    tried: Sequence[Family],
    stored: list[Stored],
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> str:
    """Which family has the largest share of its layers in a file, and the first that it lacks."""
    best, words = 0.0, "No layer has the sizes of the configuration"
    condition = _condition(stored)
    for family in tried:
        wanted = _wanted(family, {*CERTAIN, *STACKS}, condition, config, options) or []
        left = [shapes for _, shapes in stored]
        absent: list[Layer] = []
        for layer, shapes in wanted:
            if shapes in left:
                left.remove(shapes)
            else:
                absent.append((layer, shapes))
        share = 1 - len(absent) / len(wanted) if wanted else 0.0
        if share > best:
            best = share
            words = (
                f"The nearest is {family.name}, by the configuration's sizes: "
                f"{len(wanted) - len(absent)} of its {len(wanted)} layers are there"
            )
            words += f"; absent is {absent[0][0]} {absent[0][1][0]}" if absent else ""
    return words


def _condition(stored: list[Stored]) -> tuple[str, tuple[int, ...]] | None:
    """Kind and first map of conditional norms; they have maps behind an offset and a scale."""
    for _, shapes in stored:
        if [len(shape) for shape in shapes] in ([1, 1, 2, 2], [1, 1, 2, 2, 2]):
            return CONDITIONS[len(shapes) == 5], shapes[2]
    return None


def _wanted(
    family: Family,
    present: set[str],
    condition: tuple[str, tuple[int, ...]] | None,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[Layer] | None:
    """The layers of a model with these parts, in order; None where options exclude them."""
    if "stack" in family.options and present.isdisjoint(STACKS):
        return None  # nothing but a table of tokens is left
    kind, first = condition or ("", (0,))
    present = present | {kind}
    names = {
        row.name_in("keras") or "": first if row.part == kind else (0,)
        for row in family.rows
        if set(row.part.split("+")) <= present
    }
    shapes = {PLACE.sub("0", name): shape for name, shape in names.items()}
    try:
        settings = families.resolve_settings(family, "keras", shapes, config, options)
    except UsageError:
        return None
    weighted = {row.part for row in family.rows}  # a tied head has no weights of its own
    asked = {part for part in weighted if settings.parts.get(part)}
    if not all(present.issuperset(part.split("+")) for part in asked):
        return None
    layers: dict[str, list[tuple[int, ...]]] = {}
    for row in in_order(family.rows, settings):
        size = tuple(
            (settings.sizes | {"vocab": settings.source_vocab})[one]
            if isinstance(one, str)
            else one
            for one in row.shape
        )
        turned = row.op_for("keras") is TRANSPOSE
        layers.setdefault(row.layer, []).append(size[::-1] if turned else size)
    return list(_as_listed(layers, family.behind))


def _as_listed(layers: dict[str, Shapes], behind: Mapping[str, str]) -> Iterator[Layer]:
    """Layers as Keras lists them, where that is another order than the table's."""
    late = {layer: there for layer, there in behind.items() if {layer, there} <= set(layers)}
    for layer, shapes in layers.items():
        if layer not in late:
            yield layer, shapes
        yield from ((other, layers[other]) for other, there in late.items() if there == layer)


def in_order(rows: tuple[Row, ...], settings: Settings) -> Iterator[Row]:
    """The rows that are there, block after block."""
    count = settings.config["num_hidden_layers"]
    run: list[Row] = []
    for row in (*rows, None):
        if row is not None and PLACE.search(row.layer):
            run.append(row)
            continue
        blocks = [list(expand([one], settings.parts, count)) for one in run]
        for i in range(count if run else 0):
            yield from (block[i] for block in blocks if block)
        run = []
        if row is not None:
            yield from expand([row], settings.parts, count)


def _pair(wanted: list[Layer], stored: list[Stored]) -> dict[str, str] | None:
    """Each wanted layer with the first one left of its shapes; None where one is missing."""
    left = list(stored)
    names: dict[str, str] = {}
    for layer, shapes in wanted:
        place = next((i for i, (_, found) in enumerate(left) if found == shapes), None)
        if place is None:
            return None
        members, _ = left.pop(place)
        names |= {f"{layer}#{slot}": member for slot, member in enumerate(members)}
    return names
