"""The script of an encoder trained by mutual information, images of values from -1/2 to 1/2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convert.images.rows import (
    HALVE,
    IMAGE,
    LEAKY,
    MAP,
    MAX_POOL,
    OTHER,
    Family,
    File,
    Part,
    Row,
    alone,
    conv,
    dense,
    encoder,
    named,
    norm,
)

INFOMAX, LAYERS = "genae_infomax", "genae_layers"

BLOCK = (conv(), norm(), LEAKY)
LOCAL = (*BLOCK, HALVE, *BLOCK, HALVE, *BLOCK, named(HALVE, "local"))
TRUNK = (*LOCAL, *BLOCK, *BLOCK[:2], named(LEAKY, "conv"), named(MAX_POOL, "features"))
PRIOR = 0.01
SCORES = ("input", "rest.1", "rest.3", "rest.5")  # layers of a network that scores pairs


def stages(*heads: str) -> Part:
    """The encoder, with the features of its stages before the code."""
    part = encoder(TRUNK, *heads)
    return replace(part, outputs=("local", "conv", "features", *heads), stages=3)


def scores(reads: str, prefix: str = "") -> Part:
    """A network that scores pairs: where it is part of a model, up to the last linear output."""
    rows: tuple[Row, ...] = (*(dense("relu") for _ in SCORES[1:]), dense("sigmoid"))
    if not prefix:
        return alone(*rows, reads=reads)
    targets = {
        f"dense_{number}.{name}": f"{prefix}.{layer}.{name}"
        for number, layer in enumerate(SCORES, 1)
        for name in ("weight", "bias")
    }
    return Part(rows, reads, targets=targets)


def as_summed(result: Mapping[str, Any]) -> dict[str, Any]:
    """The weight of the prior, whose KL is a sum over the code; the script's is a mean."""
    return {"gamma": PRIOR / result["latent_size"] if result.get("alpha") else 0.0}


FAMILIES = (
    Family(
        "infomax",
        "Encoder trained by mutual information",
        {
            "encoder": stages("z_mean", "z_log_var"),
            "means": stages("z_mean"),
            "features": alone(*LOCAL, reads=IMAGE),
            "global_scores": scores(OTHER, "global_scores"),
            "local_scores": scores(MAP, "local_scores"),
            "global_discriminator": scores(OTHER),
            "local_discriminator": scores(MAP),
        },
        {
            "whole": File(
                ("encoder", "global_scores", "local_scores"),
                INFOMAX,
                {
                    "alpha": 0.5,
                    "beta": 1.5,
                    "estimator": "jsd",
                    "score": "concatenated",
                    "negatives": "derangement",
                    "global_tap": "code",
                },
                {"score_size": ("global_scores", 1)},
            ),
            "encoder": File(
                ("means",),
                INFOMAX,
                {"alpha": 0.0, "beta": 0.0},
                note="this file has no variances and no scores: the result gives codes alone",
            ),
            "feature_map_encoder": File(("features",), LAYERS),
            "global_discriminator": File(("global_discriminator",), LAYERS),
            "local_discriminator": File(("local_discriminator",), LAYERS),
        },
        {"pixel_range": [-0.5, 0.5]},
        derived=as_summed,
        paper="arXiv:1808.06670",
    ),
)
