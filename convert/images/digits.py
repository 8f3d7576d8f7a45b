"""The scripts of variational autoencoders of digits, images of values from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from convert.images.rows import (
    CODE,
    FLATTEN,
    LEAKY,
    OTHER,
    TABLE,
    TO_MAP,
    Asked,
    Family,
    File,
    Part,
    Row,
    alone,
    conv,
    conv_transpose,
    decoder,
    dense,
    encoder,
    named,
)

VAE, AE, LAYERS = "genae_vae", "genae_ae", "genae_layers"
PAPER = "arXiv:1312.6114"
GAUSSIAN = ("z_mean", "z_log_var")
BERNOULLI = {"likelihood": "bernoulli", "pixel_range": [0.0, 1.0]}
NO_VARIANCES = "this file has no variances: the result gives the mean codes alone"
NO_PRIOR = "this file has no prior of the classes: the result is a plain decoder"

DENSE = (dense("relu", "hidden"),)
CONVOLUTIONS = (conv(2, "relu"), conv(2, "relu"), FLATTEN, dense("relu", "hidden"))
LEAKY_CONVOLUTIONS = (
    *(row for strides in (2, 1, 2, 1) for row in (conv(strides), LEAKY)),
    named(FLATTEN, "features"),
)
DENSE_DECODER = decoder(dense("relu"), dense("sigmoid"))
GROWING = (
    dense("relu"), TO_MAP, conv_transpose(2, "relu"), conv_transpose(2, "relu"),
    conv_transpose(1, "sigmoid"),
)  # fmt: skip
LEAKY_DECODER = decoder(
    dense(), TO_MAP,
    *(row for strides in (1, 2, 1, 2) for row in (conv_transpose(strides), LEAKY)),
    conv_transpose(1, "sigmoid"),
)  # fmt: skip


def plain(trunk: tuple[Row, ...], decoder: Part) -> dict[str, Part]:
    """Encoder, the same without variances, and decoder."""
    return {
        "encoder": encoder(trunk, *GAUSSIAN),
        "means": encoder(trunk, "z_mean"),
        "decoder": decoder,
    }


FILES = {
    "whole": File(("encoder", "decoder"), VAE),
    "encoder with variances": File(("encoder",), VAE),
    "encoder": File(("means",), VAE, note=NO_VARIANCES),
    "decoder": File(("decoder",), VAE),
}

DENSE_VAE = Family(
    "dense_vae",
    "Variational autoencoder of dense layers",
    plain(DENSE, DENSE_DECODER),
    FILES,
    BERNOULLI,
    paper=PAPER,
)
VAE_CNN = Family(
    "vae_cnn",
    "Convolutional variational autoencoder",
    plain(CONVOLUTIONS, decoder(*GROWING)),
    FILES,
    BERNOULLI,
    paper=PAPER,
)


def whole_choices(result: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing more; a `ValueError` where the numbers of a code are no whole choices."""
    size, classes = result["latent_size"], result["num_choices"]
    if size % classes:
        raise ValueError(f"num_choices {classes} does not divide the {size} numbers of a code")
    return {}


CVAE = Family(
    "cvae",
    "Conditional variational autoencoder, with a mean of the prior for each class",
    plain(DENSE, DENSE_DECODER)
    | {
        "prior": Part(
            (dense(name="means"),),
            OTHER,
            makes=CODE,
            targets={"means.weight": "prior.means.weight", "means.bias": "prior.means.bias"},
        ),
        "class_mean": alone(dense(name="class_mean")),
    },
    {
        "whole": File(
            ("encoder", "decoder", "prior"),
            VAE,
            {"prior": "class_means"},
            {"num_labels": ("prior", 0)},
        ),
        "encoder with variances": File(("encoder",), VAE),
        "encoder": File(("means",), VAE, note=NO_VARIANCES),
        "decoder": File(("decoder",), AE, note=NO_PRIOR),
        "class_mean": File(("class_mean",), LAYERS),
    },
    BERNOULLI,
    paper="arXiv:1406.5298",
)
CLUSTER = Family(
    "vae_cluster",
    "Variational autoencoder that clusters its codes",
    plain(LEAKY_CONVOLUTIONS, LEAKY_DECODER)
    | {
        "class_means": Part((Row(TABLE, name="means"),), targets={"means": "prior.means.weight"}),
        "prior": Part(
            (dense("relu", "hidden"), dense("softmax", "clusters")),
            targets={
                "hidden.weight": "prior.classifier.0.weight",
                "hidden.bias": "prior.classifier.0.bias",
                "clusters.weight": "prior.classifier.2.weight",
                "clusters.bias": "prior.classifier.2.bias",
            },
        ),
        "classifier": alone(dense("relu"), dense("softmax")),
    },
    {
        "whole": File(
            ("encoder", "decoder", "class_means", "prior"),
            VAE,
            {"prior": "clusters"},
            {"num_clusters": ("class_means", 0), "cluster_hidden_size": ("prior", 1)},
        ),
        "encoder with variances": File(("encoder",), VAE),
        "encoder": File(("means",), VAE, note=NO_VARIANCES),
        "decoder": File(("decoder",), AE, note=NO_PRIOR),
        "classifier": File(("classifier",), LAYERS),
    },
    {"likelihood": "gaussian", "scale_value": math.sqrt(0.4), "pixel_range": [0.0, 1.0]},
    paper="arXiv:1611.05148",
)
VMF = Family(
    "vae_vmf",
    "Variational autoencoder of codes on the sphere",
    {"encoder": encoder(DENSE, "mean_direction"), "decoder": DENSE_DECODER},
    {
        "whole": File(("encoder", "decoder"), VAE),
        "encoder": File(("encoder",), VAE),
        "decoder": File(("decoder",), VAE),
    },
    BERNOULLI | {"posterior": "von_mises_fisher"},
    asked={
        "concentration": Asked(
            "kappa of the script, 20 as it was published", "encoder", high=10_000
        ),
    },
    paper="arXiv:1804.00891",
)
GUMBEL = Family(
    "vae_gumbel",
    "Variational autoencoder of discrete codes",
    {"encoder": encoder(CONVOLUTIONS, "logits"), "decoder": decoder(dense("relu"), *GROWING)},
    {
        "whole": File(("encoder", "decoder"), VAE),
        "encoder": File(("encoder",), VAE),
        "decoder": File(("decoder",), VAE),
    },
    BERNOULLI | {"posterior": "gumbel_softmax"},
    asked={
        "num_choices": Asked(
            "classes of each discrete number, 10 as published", low=2, whole=True
        ),
        "relaxation": Asked("tau of the script at the end of its training", "encoder", low=0.01),
    },
    scalar="relaxation",
    derived=whole_choices,
    paper="arXiv:1611.01144",
)

FAMILIES = (DENSE_VAE, VAE_CNN, CVAE, CLUSTER, VMF, GUMBEL)
