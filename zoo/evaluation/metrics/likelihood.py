"""Bounds on the log-likelihood of a VAE. The bounds themselves are methods of the model."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count

DEQUANTIZATIONS = ("none", "uniform")

Bound = Callable[[Tensor, torch.Generator], Tensor]


def elbo(
    subject: Subject,
    *,
    binarization: str | None = None,
    dequantization: str | None = None,
    num_samples: int = 1,
    num_images: int | None = None,
) -> Outcome:
    """Evidence lower bound in nats per image: posterior samples (never the mean).

    The KL of a VAE is analytic, that of an importance-weighted autoencoder sampled.

    Args:
        subject: a VAE and its images.
        binarization: "stochastic" draws every pixel once from Bernoulli(value) with the seed,
            "frozen" is the published draw of the whole split, "threshold" asks whether it is above
            0.5, "none" keeps grey. None is what the card trained with.
        dequantization: "uniform" makes 8-bit values continuous, (k + u) / 256, as the density of
            a Gaussian needs; "none" for probabilities. None picks the one that fits.
        num_samples: posterior samples averaged over for each image.
        num_images: a seeded choice of so many images; None for all.

    Raises:
        UsageError: if the images do not fit the likelihood.
    """
    check_count("num_samples", num_samples)
    model = subject.model
    prepare, options = preparation(subject, binarization, dequantization)
    value, count = _mean(
        subject, prepare, num_images,
        lambda values, generator: model.elbo(values, num_samples, generator=generator),
        frozen=options.get("binarization") == "frozen",
    )  # fmt: skip
    return Outcome(value, options={**options, "num_samples": num_samples, "num_images": count})


def iwae(
    subject: Subject,
    *,
    binarization: str | None = None,
    dequantization: str | None = None,
    num_samples: int = 100,
    num_images: int | None = 1000,
) -> Outcome:
    """Importance-weighted lower bound in nats per image; tighter than the ELBO.

    Args:
        subject: a VAE and its images.
        binarization: as in `elbo`.
        dequantization: as in `elbo`.
        num_samples: importance samples for each image.
        num_images: a seeded choice of so many images; None for all.

    Raises:
        UsageError: if the images do not fit the likelihood.
    """
    check_count("num_samples", num_samples)
    model = subject.model
    prepare, options = preparation(subject, binarization, dequantization)
    value, count = _mean(
        subject, prepare, num_images,
        lambda values, generator: model.log_prob(values, num_samples, generator=generator),
        frozen=options.get("binarization") == "frozen",
    )  # fmt: skip
    return Outcome(value, options={**options, "num_samples": num_samples, "num_images": count})


def bits_per_dim(
    subject: Subject, *, num_samples: int = 100, num_images: int | None = 1000
) -> Outcome:
    r"""Upper bound on the code length, bits per pixel and channel: :math:`-L_K / (D \log 2)`.

    D counts the pixels of the image without padding, while the bound pays for the padding too:
    the honest side of the two.

    Args:
        subject: a VAE with a likelihood of 8-bit values, and its images.
        num_samples: importance samples for each image.
        num_images: a seeded choice of so many images; None for all.
    """
    outcome = iwae(
        subject,
        binarization="none",
        dequantization="none",
        num_samples=num_samples,
        num_images=num_images,
    )
    processor = subject.context.processor
    dimensions = processor.num_channels * processor.size**2
    options = {name: outcome.options[name] for name in ("num_samples", "num_images")}
    return Outcome(-outcome.value / (dimensions * math.log(2)), options=options)


def preparation(
    subject: Subject, binarization: str | None, dequantization: str | None
) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """What is done to images before a likelihood sees them, and the options that name it.

    Raises:
        UsageError: for grey images under a Bernoulli, two-valued ones under another likelihood,
            a Gaussian density without dequantisation being no density of 8-bit images.
    """
    likelihood = subject.context.likelihood
    if binarization is None:
        data = getattr(subject.context.card, "data", None)
        binarization = getattr(data, "binarization", None) or "none"
    if dequantization is None:
        dequantization = "uniform" if likelihood == "gaussian" else "none"
    if dequantization not in DEQUANTIZATIONS:
        known = ", ".join(DEQUANTIZATIONS)
        raise UsageError(f"dequantization must be one of {known}; got {dequantization!r}")
    if likelihood == "bernoulli" and binarization == "none":
        raise UsageError(
            "a Bernoulli likelihood of grey images is a cross-entropy and no probability; name "
            "the option binarization = 'stochastic' or 'threshold'"
        )
    if likelihood != "bernoulli" and binarization != "none":
        raise UsageError(
            f"binarization {binarization!r} fits a Bernoulli likelihood only, and this model has "
            f"a {likelihood} one; use 'none'"
        )
    if likelihood == "gaussian" and dequantization == "none":
        raise UsageError(
            "the Gaussian density of 8-bit images is unbounded; use dequantization = 'uniform'"
        )
    if likelihood != "gaussian" and dequantization != "none":
        raise UsageError(
            f"dequantization fits a Gaussian likelihood only, and this is {likelihood}; use 'none'"
        )
    if likelihood == "gaussian":
        generator = subject.generator("dequantization")

        def dequantize(values: Tensor) -> Tensor:
            return (values * 255 + torch.rand(values.shape, generator=generator)) / 256

        return dequantize, {"dequantization": dequantization}
    options = {"binarization": binarization} if likelihood == "bernoulli" else {}
    # What is frozen comes two-valued from `Subject.pixels`.
    return subject.binarizer("none" if binarization == "frozen" else binarization), options


@torch.no_grad()
def _mean(
    subject: Subject,
    prepare: Callable[[Tensor], Tensor],
    num_images: int | None,
    bound: Bound,
    *,
    frozen: bool = False,
) -> tuple[float, int]:
    """A bound averaged over images, and how many there were."""
    pixels = subject.pixels(num_images, frozen=frozen)
    batches = subject.context.batches(pixels, "bounding the likelihood", prepare)
    sums = subject.shared(
        batches,
        "posterior",
        lambda values, generator: bound(values, generator).double().sum().item(),
    )
    return sum(sums) / len(pixels), len(pixels)
