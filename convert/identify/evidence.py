"""What the files themselves say of a model: its sizes, and the options that they decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.families.base import PART_OPTIONS, Family
from convert.families.settings import parts_present, stack_of
from convert.weights.ops import shape_after
from convert.weights.rows import PLACE, numbered

Shapes = Mapping[str, tuple[int, ...]]


def sizes_present(family: Family, naming: str, shapes: Shapes) -> dict[str, int]:
    """The sizes that a family's rows name, as the first tensor that has each says.

    Args:
        family: whose table it is.
        naming: how the tensors are called.
        shapes: of the tensors, by the names that rows use.

    Returns:
        Sizes by the words of `Row.shape`, and "layers" where each has tensors of its own.
    """
    found: dict[str, int] = {}
    present = parts_present(family, naming, shapes)
    for row in family.rows:
        name = row.name_in(naming) or ""
        if numbered(name, 0) not in shapes or not present[row.part]:
            continue
        shape = shape_after(row.op_for(naming), shapes[numbered(name, 0)])
        for word, size in zip(row.shape, shape, strict=False):
            if isinstance(word, str):
                found.setdefault(word, size)
        if PLACE.search(name):
            count = next(i for i in range(len(shapes) + 1) if numbered(name, i) not in shapes)
            found["layers"] = max(count, found.get("layers", 0))
    found.pop("one", None)
    return found


def options_present(
    family: Family, naming: str, shapes: Shapes, heads: int | None = None
) -> dict[str, Any]:
    """The options of bert4keras's builder that the files decide.

    Args:
        family: whose table it is.
        naming: how the tensors are called.
        shapes: of the tensors, by the names that rows use.
        heads: attention heads, where somebody knows; NEZHA's and T5's files do.

    Returns:
        Heads of the model (`with_mlm` ...) always; sizes only where they are not those that follow
        from the others.
    """
    present, sizes = parts_present(family, naming, shapes), sizes_present(family, naming, shapes)
    found: dict[str, Any] = {
        option: present[part]
        for part, option in PART_OPTIONS.items()
        if part in present and option in family.options
    }
    if "stack" in family.options:
        found["stack"] = stack_of(present)
    heads = sizes.get("heads", heads)
    if heads is None and "key" in sizes:
        heads = sizes["keys"] // sizes["key"]
    hidden = sizes.get("hidden", 0)
    rests = {"embedding_size": ("embedding", hidden), "segment_vocab_size": ("segments", 2)}
    for option, (word, rest) in rests.items():
        if sizes.get(word, rest) != rest:
            found[option] = sizes[word]
    if heads and "values" in sizes and sizes["values"] != hidden:
        found["attention_head_size"] = sizes["values"] // heads
    if heads and "keys" in sizes and sizes["keys"] != sizes.get("values", hidden):
        found["attention_key_size"] = sizes["keys"] // heads
    if "condition" in sizes:
        found["layer_norm_cond"] = sizes["condition"]
    if "condition_hidden" in sizes:
        found["layer_norm_cond_hidden_size"] = sizes["condition_hidden"]
    return found
