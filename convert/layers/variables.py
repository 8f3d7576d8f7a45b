"""Which variable of a TensorFlow checkpoint is which weight of which layer.

Since TensorFlow 2 a checkpoint has a graph of objects, in which a model's layers with weights have
numbers; those of `tf.train.Saver` have names alone, scopes that are called like the layers.
"""

from __future__ import annotations

import fnmatch
import re
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from convert.layers.form import Architecture, Layer
from convert.layers.graph import Network
from convert.names.leftovers import why_left_over
from convert.readers.base import Checkpoint
from convert.readers.tensorflow.object_graph import Node, objects_of
from convert.wire.protobuf import WireError
from zoo.errors import IntegrityError

#: Layer and weight -> part -> name of the tensor.
Found = dict[tuple[str, str], dict[int, str]]

NUMBERED = "layer_with_weights-{}"
SHOWN = 5
MAX_WORDS = 16  # of a name that are looked at

#: Lists in which objects stand once more.
AGAIN = re.compile(r"(.*_)?variables|.*_losses|keras_api|metrics|_.*_generator")

#: Words of what Keras calls weights, in the order in which its layers make them.
PLACES = tuple(
    map(re.compile, (r"forward.*", r"backward.*", r"_?query.*", r"_?key.*", r"_?value.*",
                     r".*output.*"))
)  # fmt: skip
WEIGHTS = (
    *("depthwise_kernel", "pointwise_kernel", "kernel", "recurrent_kernel", "embeddings", "bias"),
    *("gamma", "scale", "beta", "alpha", "moving_mean", "moving_variance", "adapt_mean", "mean"),
    *("adapt_variance", "variance", "count", "vector_u", "sn_u"),
)


def by_objects(
    network: Network, checkpoint: Checkpoint, allow_unused: Sequence[str] = ()
) -> tuple[Found, dict[str, str]]:
    """Of a graph of objects.

    Args:
        network: the model.
        checkpoint: that has a graph.
        allow_unused: patterns of tensors that may be left over; a model of which they name all is
            not looked at.

    Returns:
        What was found, and the tensors of other models with their reason.

    Raises:
        IntegrityError: the layers are others, or it contains several models that fit.
    """
    place = checkpoint.files[0]
    try:
        nodes = objects_of(checkpoint.graph)
    except WireError as error:
        raise IntegrityError(f"{place}: the graph of its objects is damaged ({error})") from None
    models = {
        name: one
        for name, one in _models(nodes).items()
        if not _allowed(_keys_below(nodes, one).values(), allow_unused)
    }
    if not models:
        raise IntegrityError(
            f"{place}: no model of Keras is among its objects, whose layers would be called "
            f"{NUMBERED.format(0)} ...; was it saved of a model?"
        )
    fits: dict[str, Found] = {}
    problems: dict[str, IntegrityError] = {}
    for name, one in models.items():
        try:
            fits[name] = dict(_of_model(network, checkpoint, nodes, one, network.architecture))
        except IntegrityError as error:
            problems[name] = error
    if len(models) > 1:
        fits = {name: one for name, one in fits.items() if _fitting(network, checkpoint, one)}
    if len(fits) > 1:
        raise IntegrityError(
            f"{place}: the models {', '.join(fits)} are in it, and the architecture fits each. "
            f"Leave out all but one: --allow-unused '{[*fits][-1]}/*'"
        )
    if not fits:
        if len(models) == 1:
            raise next(iter(problems.values()))
        raise IntegrityError(
            f"{place}: the models {', '.join(models)} are in it, and none has the layers of the "
            "architecture; give the JSON of one of them with --config"
        )
    (taken,) = fits
    others = {
        key: f"of {name}, another model of the checkpoint"
        for name, one in models.items()
        if name != taken
        for key in _keys_below(nodes, one).values()
    }
    used = {key for parts in fits[taken].values() for key in parts.values()}
    return fits[taken], {key: why for key, why in others.items() if key not in used}


def _models(nodes: list[Node]) -> dict[str, int]:
    """The models of a graph by name: the whole of it, or attributes of what was saved."""
    first = NUMBERED.format(0)
    if not nodes:
        return {}
    if first in nodes[0].children:
        return {"": 0}
    return {
        name: child
        for name, child in nodes[0].children.items()
        if child < len(nodes) and first in nodes[child].children
    }


def _allowed(names: Iterable[str], patterns: Sequence[str]) -> bool:
    return bool(patterns) and all(
        any(fnmatch.fnmatchcase(name, each) for each in patterns) for name in names
    )


def _fitting(network: Network, checkpoint: Checkpoint, found: Found) -> bool:
    """Whether every tensor found has the shape of its weight."""
    return all(
        checkpoint[key].shape == weight.shape
        for path, placed in network.layers.items()
        for weight in placed.weights
        for key in found.get((path, weight.name), {}).values()
        if key in checkpoint
    )


def _of_model(
    network: Network,
    checkpoint: Checkpoint,
    nodes: list[Node],
    number: int,
    model: Architecture,
    inside: str = "",
) -> Iterator[tuple[tuple[str, str], dict[int, str]]]:
    """Layers with weights in the order of the model, those of models in it too."""
    wanted = [layer for layer in model.layers if _has_weights(network, inside, layer)]
    children = nodes[number].children if number < len(nodes) else {}
    there = 0
    while NUMBERED.format(there) in children:
        there += 1
    if there != len(wanted):
        names = ", ".join(repr(layer.name) for layer in wanted[:SHOWN])
        raise IntegrityError(
            f"{checkpoint.files[0]}: {there} layers with weights are in it, and the architecture "
            f"{repr(inside[:-1]) + ' ' if inside else ''}has {len(wanted)}: {names}"
            f"{' ...' if len(wanted) > SHOWN else ''}. Is it the architecture of these weights?"
        )
    for place, layer in enumerate(wanted):
        child, path = children[NUMBERED.format(place)], f"{inside}{layer.name}"
        if (inner := layer.model or layer.inside) is not None:
            if layer.inside is not None and child < len(nodes):
                child = nodes[child].children.get("layer", child)
            yield from _of_model(network, checkpoint, nodes, child, inner, f"{path}/")
        else:
            keys = _keys_below(nodes, child)
            yield from _in_order(network, checkpoint, path, keys)


def _has_weights(network: Network, inside: str, layer: Layer) -> bool:
    path = f"{inside}{layer.name}"
    if (inner := layer.model or layer.inside) is not None:
        return any(_has_weights(network, f"{path}/", one) for one in inner.layers)
    placed = network.layers.get(path)
    return placed is not None and bool(placed.weights)


def _in_order(
    network: Network, checkpoint: Checkpoint, path: str, variables: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], dict[int, str]]]:
    """The tensors of one layer, by what they are called in it, in Keras's order."""
    weights = network.layers[path].weights
    names = [variables[inner] for inner in sorted(variables, key=_rank)]
    if len(weights) != len(names):
        expected = ", ".join(f"{weight.name} {weight.shape}" for weight in weights[:SHOWN])
        raise IntegrityError(
            f"{checkpoint.files[0]}: layer {path!r} has {len(names)} weights "
            f"({', '.join(names[:SHOWN])}), and {len(weights)} belong to it ({expected})"
        )
    for weight, name in zip(weights, names, strict=True):
        yield (path, weight.name), {0: name}


def _keys_below(nodes: list[Node], start: int) -> dict[str, str]:
    """Variables below an object by the shortest path from there: path -> key."""
    found: dict[str, str] = {}
    queue, seen = deque([("", start)]), {start}
    while queue:
        path, number = queue.popleft()
        if number >= len(nodes):
            continue
        if nodes[number].key:
            found[path] = nodes[number].key
        for name, child in nodes[number].children.items():
            if child not in seen and not AGAIN.fullmatch(name):
                seen.add(child)
                queue.append((f"{path}/{name}" if path else name, child))
    return found


def _rank(path: str) -> tuple[list[int], int, str]:
    """Where a weight stands among those of its layer."""
    *words, last = path.split("/")
    last = last.removesuffix(":0")
    places = [n for word in words for n, one in enumerate(PLACES) if one.fullmatch(word)]
    return places, WEIGHTS.index(last) if last in WEIGHTS else len(WEIGHTS), path


def by_scopes(network: Network, checkpoint: Checkpoint) -> Found:
    """Of names alone: a layer's variables lie in a scope that is called like it.

    Raises:
        IntegrityError: layers are missing, or two of the model's have the same name.
    """
    place = checkpoint.files[0]
    paths: dict[str, list[str]] = {}
    for path, placed in network.layers.items():
        if placed.weights:
            paths.setdefault(placed.layer.name, []).append(path)
    scopes: dict[str, dict[str, str]] = {}
    for name in checkpoint:
        scope, inner = _scope(name, paths)
        if scope and not why_left_over(name):
            several = paths[scope]
            path = next((one for one in several if f"/{one}/" in f"/{name}"), several[0])
            scopes.setdefault(path, {})[inner] = name
    missing = [one for several in paths.values() for one in several if one not in scopes]
    if missing:
        there = ", ".join(dict.fromkeys(name.partition("/")[0] for name in checkpoint))
        raise IntegrityError(
            f"{place}: no variables of {', '.join(map(repr, missing[:SHOWN]))}, which the "
            f"architecture has; there are scopes {there[:200]}. Are these the weights of this "
            "architecture, saved by the program that wrote it?"
        )
    found: Found = {}
    for path, variables in scopes.items():
        found |= dict(_in_order(network, checkpoint, path, variables))
    return found


def _scope(name: str, known: Container[str]) -> tuple[str, str]:
    """The first, then the longest scope of a name that is known, and what is behind it."""
    words = name.split("/")
    for start in range(min(len(words), MAX_WORDS)):
        for end in range(min(len(words), start + MAX_WORDS) - 1, start, -1):
            if (scope := "/".join(words[start:end])) in known:
                return scope, "/".join(words[end:])
    return "", name
