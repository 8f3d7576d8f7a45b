"""brightmart's first Chinese ALBERTs (2019-09), written before Google's code was there.

Names and computation: https://github.com/brightmart/albert_zh, modeling.py and run_pretraining.py.
The table of tokens is a product of two matrices without offsets; everything behind it, positions
and segments, norm and head, has the width of the hidden states, and all blocks are one. That is
an ALBERT whose embeddings have been multiplied out, with an identity as the map behind them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.dialects.base import Dialect, Rule
from convert.weights.ops import IDENTITY, ZEROS, Op, times
from zoo.errors import UsageError

if TYPE_CHECKING:
    from convert.weights.lazy import LazyTensor

GROUP = "bert/encoder/transformer/group_0/inner_group_0"
MAPPING = "bert/encoder/embedding_hidden_mapping_in"
TOKENS = "bert/embeddings/word_embeddings"
SHARED = "bert/encoder/layer_shared"
TITLE = "brightmart's first ALBERTs"


def _multiplied(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
    return times(tensors[f"{TOKENS}_2"])


def config(given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Embeddings as wide as the hidden states; one epsilon.

    Raises:
        UsageError: blocks that are normalised first, as the xlarge and xxlarge ones.
    """
    if given.get("ln_type", "postln") != "postln":
        raise UsageError(
            f"the configuration's ln_type is {given['ln_type']!r}: {TITLE} of the sizes xlarge "
            "and xxlarge normalise before each half of a block, which no family here does"
        )
    return {**given, "embedding_size": given.get("hidden_size"), "layer_norm_eps": 1e-12}


PRODUCT = (
    Rule(TOKENS, TOKENS, _multiplied),
    Rule(f"{TOKENS}_2", dropped="multiplied into the table of tokens"),
)

DIALECTS = (
    Dialect(
        "brightmart",
        TITLE,
        f"{SHARED}/attention/self/query/kernel",
        (
            Rule(TOKENS, TOKENS, _multiplied),
            Rule(f"{TOKENS}_2", f"{MAPPING}/kernel", IDENTITY),
            Rule("bert/embeddings/LayerNorm/beta", "bert/embeddings/LayerNorm/beta"),
            Rule("bert/embeddings/LayerNorm/beta", f"{MAPPING}/bias", ZEROS),
            Rule(rf"{SHARED}/attention/self/(?P<w>\w+/\w+)", f"{GROUP}/attention_1/self/{{w}}"),
            Rule(
                rf"{SHARED}/attention/output/dense/(?P<w>\w+)",
                f"{GROUP}/attention_1/output/dense/{{w}}",
            ),
            Rule(rf"{SHARED}/attention/output/LayerNorm/(?P<w>\w+)", f"{GROUP}/LayerNorm/{{w}}"),
            Rule(
                rf"{SHARED}/intermediate/dense/(?P<w>\w+)",
                f"{GROUP}/ffn_1/intermediate/dense/{{w}}",
            ),
            Rule(
                rf"{SHARED}/output/dense/(?P<w>\w+)",
                f"{GROUP}/ffn_1/intermediate/output/dense/{{w}}",
            ),
            Rule(rf"{SHARED}/output/LayerNorm/(?P<w>\w+)", f"{GROUP}/LayerNorm_1/{{w}}"),
        ),
        config=config,
        notes=("the two factors of the table of tokens are multiplied out",),
    ),
    Dialect(
        "brightmart_bert",
        f"{TITLE}, with blocks of their own",
        f"{TOKENS}_2",
        PRODUCT,
        config=config,
        notes=("the two factors of the table of tokens are multiplied out",),
    ),
)
