"""Layers of Keras under the names of other years and of keras-bert.

- bert4keras 0.1 to 0.5.1 (to February 2020) and keras-bert write `Encoder-1-...`, gamma first.
- bert4keras 0.5.2 to 0.5.8 writes `Transformer-1-...`, counted from 1; gamma first before 0.5.6,
  beta first from there on.
- ALBERT's only block is that of number 1 until 0.5.5, as every layer calls it.
- NEZHA's table of relative positions lies in every attention layer.
- keras-bert (https://github.com/CyberZHG/keras-bert) has other names for the heads, and a table of
  positions that is cut to the length of its inputs.

Weights are identified by their names; where a normalization's are not called beta and gamma, the
year says which is first, or nothing does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.dialects.base import Dialect, Rule
from convert.names.naming import Shapes
from convert.weights.ops import KEEP, Op
from zoo.errors import UsageError

if TYPE_CHECKING:
    from convert.weights.lazy import LazyTensor

HALF = r"(?P<half>MultiHeadSelfAttention|FeedForward)"
NAMED = r"(?:beta|gamma|gain|bias)(?:_\d+)?"
UNNAMED = rf"(?!{NAMED}$).*"
#: keras-bert's heads -> bert4keras's.
HEADS = {"NSP-Dense": "Pooler-Dense", "NSP": "NSP-Proba", "MLM-Sim": "MLM-Bias"}


def ask(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
    """Nothing tells offset and scale apart.

    Raises:
        UsageError: always, where blocks are counted from 1.
    """
    if any(name.startswith("Transformer-0-") for name in tensors):
        return KEEP
    layer = match.string.partition("#")[0]
    raise UsageError(
        f"the two weights of {layer} have no names that say which is gamma and which beta, and "
        "blocks are counted from 1: bert4keras 0.5.2 to 0.5.5 wrote gamma first, 0.5.6 to 0.5.8 "
        "beta first. Write the file again with names that end in gamma:0 and beta:0, or as a "
        "checkpoint of TensorFlow (save_weights_as_checkpoint of the release that wrote it)"
    )


def refuse(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
    """keras-albert, whose table of tokens is a product of two.

    Raises:
        UsageError: always, where the table of tokens is keras-albert's as well.
    """
    if not any(name.startswith("Embed-Token#") for name in tensors):
        return KEEP
    raise UsageError(
        "these are the layers of keras-albert (Embed-Token, Attention-Normal), whose files are "
        "not converted: nobody recorded what they give. Convert the TensorFlow checkpoint that "
        "the model was made of, such as brightmart's albert_model.ckpt"
    )


def blocks(prefix: str, block: str, *, gamma_first: bool) -> tuple[Rule, ...]:
    """The rules of blocks and of normalizations.

    Args:
        prefix: of the block's layers, a pattern.
        block: what rows call it.
        gamma_first: whether a normalization without names lists gamma first; False asks.
    """
    rules = [
        Rule(rf"{prefix}{HALF}#(?P<slot>[0-7]) .*", f"{block}{{half}}#{{slot}}"),
        Rule(rf"{prefix}MultiHeadSelfAttention#8 .*", "Embedding-Relative-Position#{i}"),
    ]
    for pattern, name in (
        (rf"{prefix}{HALF}-Norm", f"{block}{{half}}-Norm"),
        ("(?P<part>Embedding|MLM)-Norm", "{part}-Norm"),
    ):
        rules += [
            Rule(rf"{pattern}#(?P<slot>[01]) {NAMED}", f"{name}#{{slot}}"),
            Rule(rf"{pattern}#(?P<slot>[2-9]) .*", f"{name}#{{slot}}"),
        ]
        for slot in (0, 1):
            place = 1 - slot if gamma_first else slot
            op = KEEP if gamma_first else ask
            rules.append(Rule(rf"{pattern}#{slot} {UNNAMED}", f"{name}#{place}", op))
    return tuple(rules)


def cut_positions(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """As many positions as the file has, where they are fewer than the configuration says."""
    rows = shapes.get("Embedding-Position#0", (0,))[0]
    given = config.get("max_position_embeddings", rows)
    fewer = isinstance(given, int) and 0 < rows < given
    return dict(config) | ({"max_position_embeddings": rows} if fewer else {})


OLD, MIDDLE = r"Encoder-(?P<i>\d+)-", r"Transformer-(?P<i>\d+)-"
OLD_TITLE, MIDDLE_TITLE = "bert4keras 0.1 to 0.5.1", "bert4keras 0.5.2 to 0.5.8"
BLOCK, SHARED = "Transformer-{i}-", "Transformer-"


def release(name: str, prefix: str, telltale: str = "", *, shared: bool = False) -> Dialect:
    """A dialect of one of bert4keras's releases.

    Args:
        name: of the dialect.
        prefix: `OLD` or `MIDDLE`.
        telltale: a layer that it must have besides; empty where its blocks are enough.
        shared: there is one block, which every layer of the model calls.
    """
    old = prefix == OLD
    first = re.sub(r"\(.*\)", "1", prefix) + "MultiHeadSelfAttention"
    return Dialect(
        name,
        OLD_TITLE if old else MIDDLE_TITLE,
        f"{telltale or first}#0 .*",
        blocks(prefix, SHARED if shared else BLOCK, gamma_first=old),
        kind="keras",
        reads="layers",
        first=1 if old else None,
        blocks=1 if shared else None,
    )


DIALECTS = (
    Dialect(
        "keras_bert",
        "keras-bert",
        r"(?:Encoder-1-MultiHeadSelfAttention#0 .*_Wq|NSP-Dense#0 .*|MLM-Sim#0 .*)",
        (
            *blocks(OLD, BLOCK, gamma_first=True),
            *(
                Rule(rf"{stored}#(?P<slot>\d) .*", f"{name}#{{slot}}")
                for stored, name in HEADS.items()
            ),
        ),
        kind="keras",
        reads="layers",
        first=1,
        config=cut_positions,
    ),
    Dialect(
        "keras_albert",
        "keras-albert",
        r"Attention-Normal#0 .*",
        (Rule(r"(?P<rest>Attention-Normal#\d) .*", "{rest}", refuse),),
        kind="keras",
        reads="layers",
    ),
    # One block and a map behind the tables: ALBERT, or the same as it. Without the map it is the
    # only block of a BERT, unless ALBERT is asked for.
    release("bert4keras_old_albert", OLD, "Embedding-Mapping", shared=True),
    release("bert4keras_old", OLD),
    release("bert4keras_old_shared", OLD, shared=True),
    release("bert4keras_middle_albert", MIDDLE, "Embedding-Mapping", shared=True),
    release("bert4keras_middle", MIDDLE),
    release("bert4keras_middle_shared", MIDDLE, shared=True),
)
