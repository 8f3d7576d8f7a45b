"""How deep each parameter of a network lies, read off the network's own modules.

Layers are what stands in an `nn.ModuleList` or `nn.Sequential`. What is registered before them is
depth 0 (embeddings), the first layer 1, what is registered after the last layer the top (a final
norm, a pooler, a head). A few names overrule the order (`EMBEDDINGS`, `HEADS`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from zoo.errors import UsageError

#: Words of a module's name that put it below the layers, wherever it is registered.
EMBEDDINGS = re.compile(r"(^|_)(embed\w*|stem|wte|wpe|extractor)(_|$)")
#: And those that put it above them.
HEADS = re.compile(
    r"((^|_)(heads?|classifiers?|pooler|score|logits|outputs|predictions|projector|project_out"
    r"|final_(\w+_)?norm)|\w_predictor)$"
)
#: Stacks side by side that are networks of their own, not one after the other.
TOWERS = re.compile(
    r"(^|_)(encoder|decoder|text|vision|visual|image|audio|query|context|student|teacher"
    r"|generator|discriminator|actor|critic)(_|$)"
)
#: Within one of a stack, what makes it a stage of several layers.
STAGED = re.compile(r"(^|_)(layers|blocks)$")


@dataclass(frozen=True)
class Place:
    """Where a parameter lies.

    Attributes:
        depth: 0 below the first layer, 1 for the first, `top` above the last.
        top: the highest depth of its tower.
        tower: of a model with several (an encoder and a decoder), the module's name; else empty.
        layer: it lies in one of the layers.
        head: it lies above the layers, and is not the norm that closes them.
    """

    depth: int
    top: int
    tower: str = ""
    layer: bool = False
    head: bool = False


@dataclass
class _Tower:
    name: str
    before: list[nn.Parameter] = field(default_factory=list)
    layers: list[list[nn.Parameter]] = field(default_factory=list)
    after: list[tuple[nn.Parameter, bool]] = field(default_factory=list)


@dataclass
class _Layout:
    towers: list[_Tower]
    before: list[nn.Parameter] = field(default_factory=list)
    after: list[tuple[nn.Parameter, bool]] = field(default_factory=list)


def read_depths(model: nn.Module) -> dict[nn.Parameter, Place]:
    """The place of every parameter of a model.

    Two towers (an encoder and a decoder, one for images and one for texts) are counted apart. A
    layer that is used many times is one layer; a parameter tied to another has the lower of both
    places.
    """
    layout = _walk(model, "")
    if len(layout.towers) == 1:
        _enclose(layout.towers[0], layout)
        layout.before, layout.after = [], []
    several = len(layout.towers) > 1
    places: dict[nn.Parameter, Place] = {}

    def put(parameters: Iterable[nn.Parameter], place: Place) -> None:
        for parameter in parameters:
            other = places.get(parameter)
            if other is None or place.top - place.depth > other.top - other.depth:
                places[parameter] = place

    tops = [len(each.layers) + bool(each.after or layout.after) for each in layout.towers]
    highest = max(tops)
    put(layout.before, Place(0, highest))
    for tower, top in zip(layout.towers, tops, strict=True):
        name = tower.name if several else ""
        put(tower.before, Place(0, top, name))
        for depth, layer in enumerate(tower.layers, 1):
            put(layer, Place(depth, top, name, layer=True))
        for parameter, head in tower.after:
            put([parameter], Place(top, top, name, head=head))
    for parameter, head in layout.after:
        put([parameter], Place(highest, highest, head=head))
    return places


def depths_of_layers(model: nn.Module, layers: Sequence[str]) -> dict[nn.Parameter, Place]:
    """The place of every parameter where a person names the layers.

    Args:
        model: any module.
        layers: patterns of parameters' names, from the lowest layer (depth 0) to the head; a
            parameter belongs to the first that matches.

    Raises:
        UsageError: a parameter matches none, or a pattern has no parameter.
    """
    top = len(layers) - 1
    places = {}
    for name, parameter in model.named_parameters():
        depth = next((i for i, each in enumerate(layers) if fnmatchcase(name, each)), None)
        if depth is None:
            raise UsageError(f"{name} is in none of the layers {list(layers)}; add a pattern")
        head = depth == top > 0
        places[parameter] = Place(depth, top, layer=0 < depth and not head, head=head)
    if empty := set(range(top + 1)) - {place.depth for place in places.values()}:
        raise UsageError(
            f"layers: no parameter belongs to {layers[min(empty)]!r}; of the parameters that it "
            "matches, if any, an earlier pattern has them all"
        )
    return places


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer, by the name of its class."""
    return "norm" in type(module).__name__.lower() and not any(
        isinstance(child, (nn.Linear, nn.modules.conv._ConvNd)) for child in module.children()
    )


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children with parameters, each once, in the order they were registered."""
    return [
        (name, child)
        for name, child in module.named_children()
        if name != "parametrizations" and next(child.parameters(), None) is not None
    ]


def _direct(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of a module itself, re-parameterised ones included."""
    held = list(module.parameters(recurse=False))
    inner = getattr(module, "parametrizations", None)
    return held + (list(inner.parameters()) if isinstance(inner, nn.ModuleDict) else [])


def _is_stack(module: nn.Module) -> bool:
    return isinstance(module, (nn.ModuleList, nn.Sequential)) and not isinstance(
        module, ParametrizationList
    )


def _are_norms(module: nn.Module) -> bool:
    """A list of norms, one for each layer of the list before it."""
    return isinstance(module, nn.ModuleList) and all(
        is_norm(each) for _, each in _children(module)
    )


def _has_stack(module: nn.Module) -> bool:
    children = _children(module)
    return bool(children) and (_is_stack(module) or any(_has_stack(each) for _, each in children))


def _walk(module: nn.Module, name: str) -> _Layout:
    children = _children(module)
    stacked = [(key, child) for key, child in children if _has_stack(child)]
    # A pretrained network and its head are often put into one `nn.Sequential`.
    wraps = isinstance(module, nn.Sequential) and len(stacked) == 1 < len(children)
    if _is_stack(module) and not wraps:
        return _Layout([_Tower(name, layers=_layers(module))])
    named = [(key, child) for key, child in stacked if not _hint(key, child)]
    stacked = named or stacked
    if not stacked:
        return _plain(module, children, name)
    keys = [key for key, _ in stacked]
    in_order = any(_is_stack(child) for _, child in stacked) and not any(map(TOWERS.search, keys))
    several = len(stacked) > 1 and not in_order
    layout = _Layout([_Tower(name)] if in_order else [])
    if several:  # a parameter of its own joins its towers, as a temperature does
        layout.after.extend((each, False) for each in _direct(module))
    else:
        layout.before.extend(_direct(module))
    seen = start = 0
    for key, child in children:
        parameters = list(child.parameters())
        if key in keys:
            seen += 1
            if in_order:
                layers = _layers(child) if _is_stack(child) else [parameters]
                held = layout.towers[0].layers
                if len(held) - start - len(layers) in (0, 1) and _are_norms(child):
                    for layer, norm in zip(held[start:], layers, strict=False):
                        layer.extend(norm)
                else:
                    start = len(held)
                    held.extend(layers)
            else:
                _join(layout, child, f"{name}.{key}".lstrip("."))
            continue
        hint = _hint(key, child)
        if hint == "below" or (not hint and not seen):
            layout.before.extend(parameters)
        elif hint == "above" or seen == len(keys) or several:
            layout.after.extend((each, not is_norm(child)) for each in parameters)
        else:  # between two stacks that follow each other
            layout.towers[0].layers[-1].extend(parameters)
    return layout


def _hint(key: str, child: nn.Module) -> str:
    """What a name or a type says of a child, whatever its order."""
    if isinstance(child, nn.Embedding) or EMBEDDINGS.search(key.lower()):
        return "below"
    return "above" if HEADS.search(key.lower()) or key in ("fc", "cls") else ""


def _plain(module: nn.Module, children: list[tuple[str, nn.Module]], name: str) -> _Layout:
    """Without any stack: each child is a layer, in the order they were registered."""
    tower = _Tower(name, before=_direct(module) if children else [])
    if not children:
        tower.layers.append(_direct(module))
    for key, child in children:
        parameters, hint = list(child.parameters()), _hint(key, child)
        if hint == "below":
            tower.before.extend(parameters)
        elif hint == "above":
            tower.after.extend((each, not is_norm(child)) for each in parameters)
        elif is_norm(child) and tower.layers:
            tower.layers[-1].extend(parameters)
        else:
            tower.layers.append(parameters)
    return _Layout([tower])


def _enclose(tower: _Tower, layout: _Layout) -> None:
    """What lies around a tower belongs to it."""
    tower.before = layout.before + tower.before
    tower.after = tower.after + layout.after


def _join(outer: _Layout, child: nn.Module, name: str) -> None:
    """Add the towers of a child."""
    inner = _walk(child, name)
    if len(inner.towers) == 1:
        inner.towers[0].name = name
        _enclose(inner.towers[0], inner)
    else:
        outer.before.extend(inner.before)
        outer.after.extend(inner.after)
    outer.towers.extend(inner.towers)


def _layers(stack: nn.Module) -> list[list[nn.Parameter]]:
    """The layers of a stack, the stages of a hierarchical network opened."""
    layers: list[list[nn.Parameter]] = []
    waiting = _direct(stack)  # for the first layer, as is a norm before it
    for _, child in _children(stack):
        parameters = list(child.parameters())
        if isinstance(stack, nn.Sequential) and is_norm(child):
            (layers[-1] if layers else waiting).extend(parameters)
            continue
        found = _stage(child)
        found[0][:0], waiting = waiting, []
        layers.extend(found)
    return layers or [waiting]


def _stage(module: nn.Module) -> list[list[nn.Parameter]]:
    """The layers in one of a stack: itself, or those of equal kind that it holds."""
    whole = [list(module.parameters())]
    inner = {
        child for key, child in _children(module) if STAGED.search(key) and _is_stack(child)
    } or ({module} if _is_stack(module) else set())
    if len(inner) != 1:
        return whole
    stack = inner.pop()
    blocks = [child for _, child in _children(stack)]
    kinds = {type(block) for block in blocks}
    if len(kinds) != 1 or kinds.pop().__module__.startswith("torch.nn."):
        return whole
    layers = [list(block.parameters()) for block in blocks]
    inside = {parameter for layer in layers for parameter in layer}
    first, last = 0, len(layers) - 1
    place = first
    for parameter in whole[0]:  # what leads to the first block, what follows the last
        if parameter in inside:
            place = last
        else:
            layers[place].append(parameter)
    return layers
