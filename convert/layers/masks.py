"""Masks of steps: where they come from, how far they go, and what becomes of those that meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convert.layers.form import Layer
from convert.layers.graph import Network
from convert.layers.placing import Placed

#: Operations of Keras 3's files that make a mask as embedding and masking layers do.
MADE = ("ops.NotEqual", "ops.Any")

#: What computes the mask that a layer makes, and which of its options that takes.
MAKERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "embedding": ("mask_of_ids", ()), "masking": ("mask_of_steps", ("mask_value",)),
}  # fmt: skip

#: Layers of which later versions of Keras 3 leave masked steps out, and its first ones do not.
UNSETTLED = ("multiply", "maximum", "minimum")

#: What a mask makes of the options of attention with heads in Keras 3: scores that do not count
#: become equal; in Keras 2 they are far lower than others.
FILL = "fill"

ATTENDED = 3  # query, value, key; a mask of pairs of steps comes behind theirs
STEPS = 2  # axes of a mask: batch and steps

Mask = int | tuple[int | None, ...] | None


@dataclass
class Case:
    """A layer that tensors go into, with their masks.

    Attributes:
        network: which knows masks by their tensors.
        placed: the layer.
        inputs: its tensors.
        outputs: those that come out.
        masks: one for each input, None where it has none.
        given: masks that the call names, by argument.
    """

    network: Network
    placed: Placed
    inputs: list[int]
    outputs: list[int]
    masks: list[int | None]
    given: dict[str, list[int]]

    @property
    def first(self) -> int | None:
        """Of the first input, or what the call names."""
        own = self.given.get("mask", [])
        return own[0] if own else self.masks[0] if self.masks else None

    def add(self, kind: str, options: dict[str, Any], *of: int) -> int:
        """A mask made of tensors, of the shape of the first."""
        return add(self.network, self.placed.path, self.placed.layer, kind, options, *of)

    def put(self, mask: int | None, count: int = 1) -> None:
        """Give a mask to the first outputs."""
        if mask is not None:
            self.network.masks |= dict.fromkeys(self.outputs[:count], mask)


def add(
    network: Network, path: str, layer: Layer, kind: str, options: dict[str, Any], *of: int,
    axes: int | None = None,
) -> int:  # fmt: skip
    """A mask made of tensors, of so many axes of the first; of all where nothing is said."""
    shape = network.shapes[of[0]]
    count = sum(name.startswith(f"{path}:mask") for name in network.layers)
    name = f"{path}:mask" + f"_{count}" * bool(count)
    return network.compute(name, layer, kind, options, of, shape and shape[:axes])


def pass_on(
    network: Network, placed: Placed, inputs: list[int], outputs: list[int],
    given: dict[str, list[int]],
) -> Mask:  # fmt: skip
    """Pass masks of steps on to what comes out; arguments as those of `Case`.

    Returns:
        What the layer itself uses.

    Raises:
        ValueError: it is not known what Keras does there.
    """
    found = [network.masks.get(one) for one in inputs]
    return RULES[placed.mask](Case(network, placed, inputs, outputs, found, given))


def _stop(case: Case) -> Mask:
    return None


def _refuse(case: Case) -> Mask:
    if case.first is not None:
        raise ValueError("a mask of steps goes in, which is not supported")
    return None


def _pass(case: Case) -> Mask:
    case.put(case.first)
    return None


def _make(case: Case) -> Mask:
    placed = case.placed
    if placed.compute == "embedding" and not placed.layer.options.get("mask_zero"):
        return None
    kind, names = MAKERS[placed.compute]
    options = {name: placed.options[name] for name in names}
    axes = -1 if kind == "mask_of_steps" else None
    case.put(add(case.network, placed.path, placed.layer, kind, options, case.inputs[0],
                 axes=axes))  # fmt: skip
    return None


def _use(case: Case) -> Mask:
    """Of recurrent layers: their sequences keep the mask, their last outputs and states do not.

    Keras 3 gives no mask to a layer that is given states, but passes it on.
    """
    options = case.placed.options
    one = options.get("forward", options)
    if one.get("return_sequences"):
        both = "merge_mode" in options and options["merge_mode"] is None
        case.put(case.first, 1 + both)
    alone = case.network.architecture.keras < 3 or len(case.inputs) == 1
    return case.first if alone or case.given.get("mask") else None


def _merge(case: Case) -> Mask:
    """Of sums and the like: steps that all have; in Keras 3 that one has, if all have masks."""
    present = [one for one in case.masks if one is not None]
    third = case.network.architecture.keras == 3
    if present and third and case.placed.compute in UNSETTLED:
        raise ValueError("masks of steps go in, which change its values in some of Keras 3 alone")
    if not present or (third and len(present) < len(case.masks)):
        return None
    whole = present[0]
    for one in dict.fromkeys(present[1:]):
        if one != whole:
            word = "logical_or" if third else "logical_and"
            whole = case.add("arithmetic", {"function": word}, whole, one)
    case.put(whole)
    return None


def _concat(case: Case) -> Mask:
    """Of tensors one behind the other: masks as well, along steps; else as of sums."""
    if not any(one is not None for one in case.masks):
        return None
    rank = len(case.network.shapes[case.inputs[0]] or ())
    axis = case.placed.options["axis"] % max(rank, 1)
    if axis == rank - 1:
        return _merge(case)
    if axis != 1:
        raise ValueError(f"masks of steps meet along axis {axis}, which is not supported")
    whole = [case.add("function", {"function": "ones_like"}, case.add(
        "take", {"slices": ["...", 0]}, x)) if mask is None else mask
        for x, mask in zip(case.inputs, case.masks, strict=True)]  # fmt: skip
    case.put(case.add("concatenate", {"axis": 1}, *whole))
    return None


def _attend(case: Case) -> Mask:
    """Of attention: a mask for each of query, value and key, then one of pairs of steps.

    With heads Keras 3 takes the masks away from what goes in, for all who read it later.
    """
    found = [*case.masks, *[None] * ATTENDED][:ATTENDED]
    if own := case.given.get("mask"):
        if len(own) != STEPS:
            raise ValueError("one mask is named for query and value, which is not supported")
        found[:2] = own
    pairs = case.given.get("attention_mask", [None])
    with_heads = case.placed.compute == "multi_head_attention"
    if with_heads and case.network.architecture.keras == 3:
        for one in case.inputs:
            case.network.masks.pop(one, None)
        if any(one is not None for one in (*found, *pairs)):
            case.network.layers[case.placed.path].options[FILL] = True
    case.put(found[0])
    return (*found, pairs[0]) if any(one is not None for one in (*found, *pairs)) else None


def _distribute(case: Case) -> Mask:
    """Of a layer at every step: the mask of inner steps goes in, that of the outer comes out."""
    mask, inner = case.first, case.placed.options["layer"]
    if mask is None:
        return None
    axes, rule = len(case.network.shapes[mask] or ()), case.placed.inner_mask
    if axes <= STEPS:
        if rule == "use" and inner["kind"] != "global_pool":
            raise ValueError("its layer would take the mask of other steps")
        case.put(mask)
        return None
    if rule not in ("use", "pass", "stop"):
        raise ValueError("a mask of steps in steps goes in, which is not supported")
    keeps = rule == "pass" or inner.get("forward", inner).get("return_sequences")
    case.put(mask if keeps else _any(case.network, case.placed.path, case.placed.layer, mask))
    return mask if rule == "use" else None


def _any(network: Network, path: str, layer: Layer, mask: int) -> int:
    """Steps of which any inner step counts."""
    axes = len(network.shapes[mask] or ())
    options = {"function": "any", "axes": [*range(STEPS, axes)], "keepdims": False}
    return add(network, path, layer, "reduce", options, mask, axes=STEPS)


def fold(network: Network, path: str, layer: Layer, x: int, folded: int) -> None:
    """The mask of inner steps, where a sequence of sequences becomes so many examples."""
    mask = network.masks.get(x)
    if mask is not None and len(shape := network.shapes[mask] or ()) > STEPS:
        inner = (None, *shape[STEPS:])
        name = f"{path}:fold_mask"
        made = network.compute(name, layer, "fold_steps", {}, [mask], inner)
        network.masks[folded] = made


def unfold(network: Network, path: str, layer: Layer, x: int, made: int, whole: int) -> None:
    """The mask of what comes out of a model at every step."""
    outer, inner = network.masks.get(x), network.masks.get(made)
    if inner is not None:
        shape, steps = network.shapes[inner] or (None,), network.shapes[x] or (None, None)
        mask = network.compute(f"{path}:unfold_mask", layer, "unfold_steps", {}, [inner, x],
                               (*steps[:2], *shape[1:]))  # fmt: skip
        network.masks[whole] = mask
    elif outer is not None:
        deep = len(network.shapes[outer] or ()) > STEPS
        network.masks[whole] = _any(network, path, layer, outer) if deep else outer


#: What becomes of masks, by the word that rows of the table of kinds have for it.
RULES: dict[str, Callable[[Case], Mask]] = {
    "stop": _stop,
    "refuse": _refuse,
    "pass": _pass,
    "make": _make,
    "use": _use,
    "merge": _merge,
    "concat": _concat,
    "attend": _attend,
    "distribute": _distribute,
}
