"""T5 and mT5 of transformers' TensorFlow models: the tables of `transformers_tf.py` for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convert.dialects.base import Rule
from convert.dialects.transformers_names import COPIES, TABLE


def t5_stack(stack: str, wide: Sequence[str]) -> Iterator[Rule]:
    """One stack of a T5, as bert4keras's layers.

    Args:
        stack: "encoder" or "decoder".
        wide: names of the maps into the feed-forward part.
    """
    block, title = rf"{stack}/block/(?P<i>\d+)/layer", f"{stack.title()}-Transformer-{{i}}"
    parts = [("SelfAttention", "MultiHeadSelfAttention", tuple("qkvo"))]
    if stack == "decoder":
        parts.append(("EncDecAttention", "MultiHeadCrossAttention", tuple("qkvo")))
    parts.append(("DenseReluDense", "FeedForward", (*wide, "wo")))
    for number, (stored, legacy, maps) in enumerate(parts):
        yield Rule(rf"{block}/{number}/layer_norm/weight", f"{title}-{legacy}-Norm#0")
        for slot, name in enumerate(maps):
            yield Rule(rf"{block}/{number}/{stored}/{name}/kernel", f"{title}-{legacy}#{slot}")
    yield Rule(
        rf"{stack}/block/0/layer/0/SelfAttention/relative_attention_bias/{TABLE}",
        f"{stack.title()}-Embedding-Relative-Position#0",
    )
    yield Rule(rf"{stack}/final_layer_norm/weight", f"{stack.title()}-Output-Norm#0")


def t5(*wide: str) -> tuple[Rule, ...]:
    """T5, or with a gated feed-forward part T5 1.1 and mT5."""
    return (
        Rule(rf"shared(?:/{TABLE})?", "Embedding-Token#0"),
        *t5_stack("encoder", wide),
        *t5_stack("decoder", wide),
        Rule(r"lm_head/kernel", "Decoder-Output-LM#0"),
        Rule(
            r"decoder/block/0/layer/1/EncDecAttention/relative_attention_bias/.*",
            dropped="left out by transformers as well: cross attention has no positions",
        ),
        Rule(r"(?:encoder|decoder)/embed_tokens/.*", dropped="stored once more"),
        COPIES,
    )
