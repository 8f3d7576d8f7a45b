"""The scripts whose encoders average over the whole image; images of values from -1 to 1."""

from __future__ import annotations

import math

from convert.images.rows import (
    IMAGE,
    LEAKY,
    MEAN_POOL,
    RELU,
    TO_MAP,
    Family,
    File,
    Part,
    activation,
    alone,
    conv,
    conv_transpose,
    decoder,
    dense,
    encoder,
    named,
    norm,
)

VAE, AE, EAE, LAYERS = "genae_vae", "genae_ae", "genae_eae", "genae_layers"
HALVINGS = 5
LOG_SCALE = {"posterior_scale": "log_standard_deviation"}

SHRINKING = (
    *(row for _ in range(HALVINGS) for row in (conv(2, kernel=5), norm(), LEAKY)),
    named(MEAN_POOL, "features"),
)
DECODER = decoder(
    dense(),
    TO_MAP,
    *(row for _ in range(HALVINGS - 1) for row in (conv_transpose(2, kernel=5), norm(), RELU)),
    conv_transpose(2, kernel=5),
    activation("tanh"),
)


def squared_error(weight: float) -> dict[str, object]:
    """A likelihood whose loss is the squared error of values from -1 to 1, times a weight.

    Those are twice as far apart as values from 0 to 1, whose scale this is.
    """
    return {
        "likelihood": "gaussian",
        "scale_value": math.sqrt(1 / (8 * weight)),
        "pixel_range": [-1.0, 1.0],
    }


CELEBA = Family(
    "celeba_vae",
    "Convolutional variational autoencoder of faces",
    {
        "encoder": encoder(SHRINKING, "z_shift", "z_log_scale"),
        "features": alone(*SHRINKING, reads=IMAGE),
        "decoder": DECODER,
    },
    {
        "whole": File(("encoder", "decoder"), VAE, LOG_SCALE),
        "encoder with heads": File(("encoder",), VAE, LOG_SCALE),
        "encoder": File(
            ("features",),
            LAYERS,
            note="this file has neither means nor scales: the result computes the features that "
            "they are made of",
        ),
        "decoder": File(("decoder",), VAE),
    },
    squared_error(0.5),
    paper="arXiv:1312.6114",
)
AUTOENCODER = Family(
    "ae",
    "Convolutional autoencoder",
    {"encoder": encoder(SHRINKING, "z"), "decoder": DECODER},
    {
        "whole": File(("encoder", "decoder"), AE),
        "encoder": File(("encoder",), AE),
        "decoder": File(("decoder",), AE),
    },
    squared_error(1),
)
ENTROPIC = Family(
    "eae",
    "Entropic autoencoder",
    {
        "encoder": encoder(SHRINKING, "z"),
        "code_norm": Part(
            (norm(center=False, scale=False),),
            targets={
                "batch_normalization_1.mean": "code_norm.running_mean",
                "batch_normalization_1.variance": "code_norm.running_var",
            },
        ),
        "decoder": DECODER,
    },
    {
        "whole": File(("encoder", "code_norm", "decoder"), EAE),
        "encoder": File(("encoder", "code_norm"), EAE),
        "decoder": File(("decoder",), EAE),
    },
    squared_error(1) | {"batch_norm_eps": 1e-3},
    taken={"entropy_weight": 0.1},
    paper="arXiv:2002.10631",
)

FAMILIES = (CELEBA, AUTOENCODER, ENTROPIC)
