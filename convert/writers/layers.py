"""What Keras calls the weights of bert4keras's layers, and in which order it lists the layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from convert.weights.rows import Row

#: (of the layer, of our name) -> the weight's name; `{}` counts what layers make inside.
WEIGHTS = tuple(
    (re.compile(layer), re.compile(target), name)
    for layer, target, name in (
        (r"Embedding-(Token|Segment|Condition|Position|Relative-Position)$", "", "embeddings"),
        ("", r"\.condition_\w+\.weight$", "dense_{}/kernel"),
        (r"(Norm(-\d)?|MLM-Bias)$", r"bias$", "beta"),
        (r"Norm(-\d)?$", r"weight$", "gamma"),
        (r"GatedAttentionUnit$", r"_scale$", "scale_offset_{}/gamma"),
        (r"(Attention|FeedForward|Unit)$", r"bias$", "dense_{}/bias"),
        (r"(Attention|FeedForward|Unit)$", "", "dense_{}/kernel"),
        ("", r"bias$", "bias"),
        ("", "", "kernel"),
    )
)


def weight_names(rows: Iterable[Row]) -> dict[str, str]:
    """`Layer#slot` -> the weight's name in that layer.

    Keras counts the layers that were made without a name, over the whole model; a bias has the
    number of the kernel before it.

    Args:
        rows: those of a model, in the order in which bert4keras makes its layers.
    """
    counts: dict[str, int] = {}
    names = {}
    for row in rows:
        form = next(
            name
            for layer, target, name in WEIGHTS
            if layer.search(row.layer) and target.search(row.target)
        )
        kind, inside, _ = form.partition("_{}")
        if inside and not form.endswith("bias"):
            counts[kind] = counts.get(kind, 0) + 1
        names[f"{row.layer}#{row.slot}"] = f"{row.layer}/{form.format(counts.get(kind))}:0"
    return names


def in_keras_order(layers: Sequence[str], cross_position_bias: bool = True) -> list[str]:
    """Layers as Keras lists those of a model: by distance from the output, the farthest first.

    Args:
        layers: in the order of the table, which is that of a chain.
        cross_position_bias: of a T5: whether its cross attention has the decoder's table, too.
    """
    order = list(layers)
    # The pooler is the end of a branch of its own, unless next sentences are predicted from it.
    if "Pooler-Dense" in order and "NSP-Proba" not in order:
        order.remove("Pooler-Dense")
        order.append("Pooler-Dense")
    encoder = _stack(order, "Encoder-")
    decoder = _stack(order, "Decoder-")
    both = [*encoder, *decoder]
    rest = [layer for layer in order if layer not in set(both)]
    if encoder and decoder:  # its first layers are as far as the last ones of the encoder
        *encoder, wide, last = encoder
        norm, table, attention, *decoder = decoder
        # Of those equally far, Keras lists first what it met first on its way from the output.
        equal = [wide, norm, table] if cross_position_bias else [norm, table, wide]
        both = [*encoder, *equal, attention, last, *decoder]
    return [*rest, *both]


def _stack(layers: Sequence[str], prefix: str) -> list[str]:
    """The layers of one stack of a T5; its table of positions enters behind the first norm."""
    found = [layer for layer in layers if layer.startswith(prefix)]
    if found:
        found[:2] = found[1::-1]
    return found
