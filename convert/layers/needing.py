"""What outputs need: layers that they do without, and outputs that go without some layers."""

from __future__ import annotations

from collections.abc import Sequence

from convert.layers.form import INPUT, Architecture, Reference
from convert.layers.graph import Network, Node, reach
from convert.layers.masks import MADE
from zoo.errors import GenaeError, UnsafeError, UsageError
from zoo.hints import did_you_mean, quote

OPTION = "outputs"


def choose_outputs(model: Architecture, wanted: Sequence[object]) -> list[Reference]:
    """Outputs by their numbers, or by names of layers, which need be none of the model's yet.

    Raises:
        UsageError: there is no such number, or no such layer.
    """
    layers = {layer.name: layer for layer in model.layers}
    found: list[Reference] = []
    for one in wanted:
        if type(one) is int and 0 <= one < len(model.outputs):
            found.append(model.outputs[one])
        elif isinstance(one, str) and one in layers:
            own = [each for each in model.outputs if each.layer == one]
            found += own or [Reference(one, layers[one].first)]
        else:
            raise UsageError(
                f"{OPTION}: the model has no output {one!r}; it has "
                f"{', '.join(_names(model.outputs))}, and layers can be named. "
                f"{did_you_mean(str(one), layers) if isinstance(one, str) else ''}".rstrip()
            )
    return found


def keep_needed(network: Network, *, with_inputs: bool) -> None:
    """Find out what stops a conversion, and leave out what no output needs.

    Layers without weights that lead to no output, as losses do, go; so does what is not supported.

    Args:
        network: changed in place.
        with_inputs: keep inputs that nothing needs.
    """
    nodes = network.nodes
    needed = reach(nodes, network.outputs)
    problems: dict[str, GenaeError] = {}
    for node in nodes:
        if node.problem is not None and needed & set(node.outputs):
            problems.setdefault(str(node.problem), node.problem)
    network.problems = list(problems.values())
    _advise(network)
    network.problems += [
        UsageError(f"--lambda {pattern}: no layer that is not known is called so; "
                   f"{_unknown(network)}")
        for pattern in network.meanings.unused()
    ]  # fmt: skip
    sound = {*network.inputs}
    for node in nodes:
        if node.problem is None and node.reads <= sound:
            sound |= {*node.outputs}
    network.parts = {
        name: (inside, left)
        for name, (inside, made) in network.parts.items()
        if {*inside} <= sound and (left := [one for one in made if one in sound])
    }
    heavy = {path for path, placed in network.layers.items() if placed.weights}
    weighty = [one for node in nodes if node.layer in heavy for one in node.outputs]
    of_parts = [one for part in network.parts.values() for each in part for one in each]
    kept = reach(nodes, [*network.outputs, *weighty, *of_parts])
    stay = [node for node in nodes if kept & sound & set(node.outputs)]
    left_out = [node.layer for node in nodes if node not in stay]
    staying = {node.layer for node in nodes if node in stay or needed & set(node.outputs)}
    network.unused = [
        path
        for path in dict.fromkeys(left_out)
        if path not in staying and ":" not in path and path in network.layers
        and network.layers[path].layer.kind not in MADE
    ]  # fmt: skip
    network.nodes = stay
    if not with_inputs:
        _keep_inputs(network, kept)


def _keep_inputs(network: Network, kept: set[int]) -> None:
    pairs = list(zip(network.inputs, network.input_names, strict=True))
    network.unused += [name for one, name in pairs if one not in kept]
    network.inputs = [one for one, _ in pairs if one in kept]
    network.input_names = [name for one, name in pairs if one in kept]


def _unknown(network: Network) -> str:
    strange = [path for path, placed in network.layers.items() if placed.problem is not None]
    return f"there are {', '.join(strange[:5])}" if strange else "every layer is known"


def _advise(network: Network) -> None:
    """Say with the first problem which outputs go without it, else what comes before it."""
    if not network.problems or not isinstance(network.problems[0], UsageError | UnsafeError):
        return
    problem = network.problems[0]
    lost = {one for node in network.nodes if node.problem is not None for one in node.outputs}
    bad = [bool(lost & reach(network.nodes, [one])) for one in network.outputs]
    outputs = network.architecture.outputs
    good = [one for one, wrong in zip(outputs, bad, strict=True) if not wrong]
    if good:
        names = _names(outputs)
        free = [names[at] for at, wrong in enumerate(bad) if not wrong]
        words = f"{', '.join(free)} {'does' if len(free) == 1 else 'do'} without it"
    else:
        free = _before(network, next(node for node in network.nodes if node.problem is problem))
        words = "What comes before it is a model, too"
    if free:
        option = quote(f"{OPTION}={','.join(free)}")
        network.problems[0] = type(problem)(f"{problem}. {words}: --option {option}")


def _names(outputs: Sequence[Reference]) -> list[str]:
    """A name for each output: its layer's, or its number where the layer has several."""
    layers = [one.layer for one in outputs]
    return [
        one if layers.count(one) == 1 and "," not in one else str(place)
        for place, one in enumerate(layers)
    ]


def _before(network: Network, node: Node) -> list[str]:
    """Layers of the whole model that a computation reads from."""
    made = {one: each.layer for each in network.nodes for one in each.outputs}
    tops = {layer.name: layer for layer in network.architecture.layers}
    names = [made.get(one, "") for one in node.inputs]
    fits = all(name in tops and tops[name].kind != INPUT and "," not in name for name in names)
    return list(dict.fromkeys(names)) if names and fits and "/" not in node.layer else []
