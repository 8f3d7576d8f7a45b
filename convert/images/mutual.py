"""The script of an encoder trained by mutual information, images of values from -1/2 to 1/2."""

from __future__ import annotations

from convert.images.rows import (
    HALVE,
    LEAKY,
    MAP,
    MAX_POOL,
    Family,
    File,
    alone,
    conv,
    dense,
    encoder,
    named,
    norm,
)

INFOMAX, LAYERS = "genae_infomax", "genae_layers"

BLOCK = (conv(), norm(), LEAKY)
LOCAL = (*BLOCK, HALVE) * 3
TRUNK = (*LOCAL, *BLOCK * 2, named(MAX_POOL, "features"))
SCORES = (dense("relu"), dense("relu"), dense("relu"), dense("sigmoid"))

FAMILIES = (
    Family(
        "infomax",
        "Encoder trained by mutual information",
        {
            "encoder": encoder(TRUNK, "z_mean", "z_log_var"),
            "means": encoder(TRUNK, "z_mean"),
            "local": alone(*LOCAL, reads="image"),
            "global_discriminator": alone(*SCORES),
            "local_discriminator": alone(*SCORES, reads=MAP),
        },
        {
            "whole": File(("encoder", "global_discriminator", "local_discriminator"), INFOMAX),
            "encoder": File(("means",), INFOMAX),
            "feature_map_encoder": File(("local",), LAYERS),
            "global_discriminator": File(("global_discriminator",), LAYERS),
            "local_discriminator": File(("local_discriminator",), LAYERS),
        },
        {"pixel_range": [-0.5, 0.5]},
        paper="arXiv:1808.06670",
    ),
)
