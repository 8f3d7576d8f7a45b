"""Estimates of log p(x) for each image, batch by batch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.data.binarization import freeze_binarized
from zoo.errors import UsageError
from zoo.evaluation.subject import Context, Subject
from zoo.gathering import shared

_ESTIMATED = ("log_prob", "bits_per_dim", "standard_error", "effective_sample_size")
#: Columns of each method, in order; all numbers are of one image.
COLUMNS = {
    "importance": (*_ESTIMATED, "elbo"),
    "annealed": (*_ESTIMATED, "acceptance"),
    "energy": ("energy", "log_prob"),
}
#: Images a batch: fewer for annealing, which runs many chains for each.
BATCHES = {"importance": 64, "annealed": 16, "energy": 256}


@dataclass(frozen=True)
class Plan:
    """How densities are estimated.

    Attributes:
        method: `importance` (needs an encoder with a posterior), `annealed`, or `energy`, which a
            model gives at once.
        samples: importance samples, or annealed chains, for each image.
        temperatures: of the annealing; 0 for importance sampling.
        binarization: `none`, `stochastic`, `threshold` or `frozen`.
        seed: of everything random.
    """

    method: str
    samples: int
    temperatures: int
    binarization: str
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers of one image."""
        return COLUMNS[self.method]


def check(context: Context, plan: Plan, pixels: Tensor) -> None:
    """Raise `UsageError` unless the model defines a probability for the images.

    Args:
        context: the model.
        plan: how to estimate.
        pixels: uint8 `(N, C, S, S)`.
    """
    if plan.method == "importance" and not hasattr(context.model, "estimate"):
        raise UsageError(
            "this model's encoder gives points, not a distribution to sample from; "
            "use --method annealed, which needs only the decoder"
        )
    if not hasattr(context.model, "decoder"):
        raise UsageError("this model has no decoder, so it defines no probability of images")
    if context.likelihood == "bernoulli" and plan.binarization == "none":
        grey = int(((pixels != 0) & (pixels != 255)).flatten(1).any(1).sum())
        if grey:
            raise UsageError(
                f"{grey} of {len(pixels)} images are grey, and a Bernoulli likelihood of grey "
                "images is a cross-entropy, not a probability; --binarize stochastic draws "
                "every pixel once with the seed, frozen is the published draw of a test set, "
                "threshold cuts at one half; the three cannot be compared with each other"
            )


def densities(
    context: Context, plan: Plan, pixels: Tensor, first_batch: int = 0
) -> Iterator[list[list[float]]]:
    """The rows of each batch of images, with `plan.columns` as columns; processes share them.

    Every batch has random numbers of its own, so that a run that starts at `first_batch` gives
    the same rows as an uninterrupted one, and any number of processes those of one.
    Memory does not grow with the number of samples, nor, apart from the rows, with that of images.

    Args:
        context: the model, its processor, the device.
        plan: how to estimate.
        pixels: uint8 `(N, C, S, S)`, all images; or points, floats `(N, 2)`.
        first_batch: the batch to start with, of `batch_size` images each.
    """
    if plan.binarization == "frozen":
        pixels = 255 * freeze_binarized(pixels)
    size = batch_size(plan)

    def of_batch(number: int) -> list[list[float]]:
        subject = Subject(context, "", "", seed=plan.seed)
        generator = subject.generator(f"densities/{number}")
        values = pixels[number * size : (number + 1) * size]
        values = values if values.is_floating_point() else values.float() / 255
        values = prepare(context, plan, values, generator).to(context.device)
        table = torch.stack(METHODS[plan.method](context, values, plan, generator), dim=1)
        rows: list[list[float]] = table.double().cpu().tolist()
        return rows

    return shared(range(first_batch, -(-len(pixels) // size)), of_batch)


def batch_size(plan: Plan) -> int:
    """Images per batch."""
    return BATCHES[plan.method]


def prepare(context: Context, plan: Plan, values: Tensor, generator: torch.Generator) -> Tensor:
    """Turn pixels in [0, 1] into what the likelihood is a probability or density of."""
    if plan.binarization in ("stochastic", "threshold"):
        from zoo.data.binarization import binarize

        return binarize(values, plan.binarization, generator)
    if context.likelihood == "gaussian":
        return (values * 255 + torch.rand(values.shape, generator=generator)) / 256
    return values


def bits_per_dim(context: Context, log_prob: Tensor) -> Tensor:
    r"""Code length per pixel and channel, :math:`-\log_2 P / D`, from nats.

    D counts the image without its padding, whereas the probability includes it. A density of
    images that were dequantised and scaled to [0, 1) is first made the probability of bins of
    width 1/256.
    """
    config, processor = context.model.config, context.processor
    padded = config.num_channels * config.image_size**2
    bits = -log_prob / math.log(2)
    if context.likelihood == "gaussian":
        bits = bits + 8 * padded
    dimensions: int = processor.num_channels * processor.size**2
    return bits / dimensions


def _with_bits(context: Context, log_prob: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
    return log_prob, bits_per_dim(context, log_prob), *more


def _importance(
    context: Context, values: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    estimate = context.model.estimate(values, plan.samples, generator=generator)
    return _with_bits(context, *estimate)


def _annealed(
    context: Context, values: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    from zoo.models.images.annealing import annealed_log_prob

    estimate = annealed_log_prob(
        context.model, values, num_temperatures=plan.temperatures, num_chains=plan.samples,
        generator=generator,
    )  # fmt: skip
    return _with_bits(context, *estimate)


def _energy(
    context: Context, values: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Energies, and log-densities where log Z is stored, NaN elsewhere; nothing is random."""
    stored = context.model.stored_log_z
    with torch.no_grad():
        energy = context.model.energy(values)
    return energy, -energy - (math.nan if stored is None else stored.value)


METHODS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "importance": _importance,
    "annealed": _annealed,
    "energy": _energy,
}
