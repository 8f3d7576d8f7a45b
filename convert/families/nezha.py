"""NEZHA (2019): relative positions, of which files have nothing but a table that is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.families.base import Family, Settings
from convert.families.blocks import embeddings, genae_config, mapping, post_norm, pretraining_heads
from convert.weights.rows import Row

if TYPE_CHECKING:
    import numpy as np


def sinusoids(shape: tuple[int, ...]) -> np.ndarray:
    """The table of relative positions: sines at even columns, cosines at odd ones.

    In float32 as TensorFlow does; its sine and NumPy's differ by one unit in the last place.
    """
    import numpy as np

    count, width = shape
    rates = np.power(np.float32(10000), np.arange(width // 2, dtype=np.float32) * (-2 / width))
    angles = np.arange(count, dtype=np.float32)[:, None] * rates.astype(np.float32)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(count, -1)


ROWS = (
    *embeddings("nezha", "bert/embeddings", positions=False),
    *mapping("nezha", "bert/encoder/embedding_hidden_mapping_in"),
    Row("", (129, "key"), None, layer="Embedding-Relative-Position", made=sinusoids),
    *post_norm("nezha.encoder.layer.{i}", "bert/encoder/layer_{i}"),
    *pretraining_heads("nezha"),
)


def config(settings: Settings) -> dict[str, object]:
    """Always genae's: transformers has it no more."""
    return genae_config(settings, "nezha", "Nezha", layer_norm_eps=1e-7, head_norm_eps=1e-12)


FAMILY = Family(
    name="nezha",
    title="NEZHA",
    telltales=(
        (
            "bert/embeddings/LayerNorm/gamma",
            "!bert/embeddings/position_embeddings",
            "bert/encoder/layer_0/attention/self/query/bias",
        ),
        ("Embedding-Relative-Position#0", "Transformer-0-MultiHeadSelfAttention#0"),
    ),
    rows=ROWS,
    config=config,
    # Until 0.5.8 bert4keras kept one in every layer.
    dropped=((r"^Embedding-Relative-Position#\d+$", "computed from the configuration"),),
    paper="arXiv:1909.00204",
    says={"use_relative_position": True},
)
