"""The script of an autoencoder with discrete codes; images of values from -1 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.images.pooled import squared_error
from convert.images.rows import (
    CODE,
    DECODER,
    ENCODER,
    IMAGE,
    MAP,
    RELU,
    TABLE,
    Family,
    File,
    Part,
    Row,
    activation,
    conv,
    conv_transpose,
    named,
    norm,
)

VQ_VAE = "genae_vq_vae"
BLOCKS = 2
SHRINKING = 4  # pixels of an image to one of the grid, each way


def residual_block(number: int) -> tuple[Row, ...]:
    """A normalised map, and what two convolutions add to it."""
    shortcut, change = f"shortcut_{number}", f"change_{number}"
    return (
        named(norm(), shortcut), RELU, conv(), norm(), RELU, conv(kernel=1, name=change),
        Row("Add", inputs=(shortcut, change)),
    )  # fmt: skip


RESIDUAL = tuple(row for number in range(BLOCKS) for row in residual_block(number + 1))
PARTS = {
    "encoder": Part(
        (conv(2, kernel=4), norm(), RELU, conv(2, kernel=4), *RESIDUAL),
        IMAGE,
        makes=CODE,
        graph=ENCODER,
        prefix="encoder.layers.",
    ),
    "codebook": Part(
        (Row(TABLE, name="embeddings"),), targets={"embeddings": "codebook.embeddings"}
    ),
    "decoder": Part(
        (
            *RESIDUAL, conv_transpose(2, kernel=4), norm(), RELU, conv_transpose(2, kernel=4),
            activation("tanh"),
        ),
        MAP,
        makes=IMAGE,
        graph=DECODER,
        prefix="decoder.layers.",
    ),
}  # fmt: skip
WITHOUT_CODES = {"num_codes": 0}


def as_summed(result: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with which genae's loss, of sums, weighs its terms as the script's, of means.

    The script adds mean squared errors of images and of vectors; times the number of a grid's
    values the second is a sum, and the first a sum with this weight.
    """
    vectors = result["latent_size"] / SHRINKING**2
    weight = vectors / result["num_channels"]
    side = result["image_size"] // SHRINKING
    return {"grid_size": side, **squared_error(weight)}


QUANTIZED = Family(
    "vq_vae",
    "Autoencoder with discrete codes",
    PARTS,
    {
        "whole": File(
            ("encoder", "codebook", "decoder"), VQ_VAE, sizes={"num_codes": ("codebook", 0)}
        ),
        "encoder": File(
            ("encoder",),
            VQ_VAE,
            WITHOUT_CODES,
            note="this file has no codebook: the result gives the vectors before they are "
            "quantised, by encode_vectors",
            calls="vectors = model.encode_vectors("
            "torch.rand(1, {num_channels}, {image_size}, {image_size}))",
        ),
        "decoder": File(
            ("decoder",),
            VQ_VAE,
            WITHOUT_CODES,
            note="this file has no codebook: the result decodes vectors, by decode_vectors",
            calls="images = model.decode_vectors("
            "torch.randn(1, {latent_size}, {grid_size}, {grid_size}))",
        ),
        "quantizer": File(
            ("codebook",),
            VQ_VAE,
            {"num_channels": 3},
            {"num_codes": ("codebook", 0), "latent_size": ("codebook", 1)},
            note="this file has the codebook alone: the result turns vectors into codes, by "
            "quantize, and back, by embed",
            calls="codes = model.quantize("
            "torch.randn(1, {latent_size}, {grid_size}, {grid_size}))",
        ),
    },
    {"codebook": "gradient", "commitment_weight": 0.25, "prior_hidden_size": 0},
    derived=as_summed,
    paper="arXiv:1711.00937",
)

FAMILIES = (QUANTIZED,)
