"""log p(x) picture by picture, streamed to a table; and what it tells apart."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.data.binarization import freeze_binarized
from zoo.errors import UsageError

from .context import Context, Outcome, Subject, check_count
from .likelihood import preparation

#: Data sets told from each other where no other is named.
OTHERS = {"mnist": "fashion-mnist", "fashion-mnist": "mnist"}
#: Columns of importance sampling and of annealing, in order; all numbers are of one picture.
COLUMNS = ("log_prob", "bits_per_dim", "standard_error", "effective_sample_size")
LAST = {"importance": "elbo", "annealed": "acceptance"}


@dataclass(frozen=True)
class Plan:
    """How densities are estimated.

    Attributes:
        method: `importance` (needs an encoder with a posterior) or `annealed`.
        samples: importance samples, or annealed chains, for each picture.
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
        """Names of the numbers of one picture."""
        return (*COLUMNS, LAST[self.method])


def check(context: Context, plan: Plan, pixels: Tensor) -> None:
    """Raise `UsageError` unless the model can be asked, and has a probability for the pictures.

    Args:
        context: the model.
        plan: what is going to be done.
        pixels: uint8 `(N, C, S, S)`.
    """
    if plan.method == "importance" and not hasattr(context.model, "estimate"):
        raise UsageError(
            "this model's encoder gives points and no distribution to sample from; "
            "use --method annealed, which needs the decoder alone"
        )
    if not hasattr(context.model, "decoder"):
        raise UsageError("this model has no decoder and gives pictures no probability")
    if context.likelihood == "bernoulli" and plan.binarization == "none":
        grey = int(((pixels != 0) & (pixels != 255)).flatten(1).any(1).sum())
        if grey:
            raise UsageError(
                f"{grey} of {len(pixels)} pictures are grey, and a Bernoulli likelihood of grey "
                "pictures is a cross-entropy and no probability; --binarize stochastic draws "
                "every pixel once with the seed, frozen is the published draw of a test set, "
                "threshold cuts at one half; the three do not compare with each other"
            )


def densities(
    context: Context, plan: Plan, pixels: Tensor, first_batch: int = 0
) -> Iterator[list[list[float]]]:
    """Yield the rows of one batch of pictures after another, as `plan.columns`.

    Every batch has random numbers of its own, so that a run that starts at `first_batch` gives
    what an uninterrupted one would have given. Memory grows neither with the number of samples
    nor, but for the rows, with that of pictures.

    Args:
        context: the model, its processor, the device.
        plan: how it is done.
        pixels: uint8 `(N, C, S, S)`, all pictures.
        first_batch: the batch to start with; `batch_size` says how many pictures make one.
    """
    if plan.binarization == "frozen":
        pixels = 255 * freeze_binarized(pixels)
    size = batch_size(plan)
    for number in range(first_batch, -(-len(pixels) // size)):
        subject = Subject(context, "", "", seed=plan.seed)
        generator = subject.generator(f"densities/{number}")
        values = pixels[number * size : (number + 1) * size].float() / 255
        values = prepare(context, plan, values, generator).to(context.device)
        estimate = METHODS[plan.method](context.model, values, plan, generator)
        bits = bits_per_dim(context, estimate[0])
        table = torch.stack([estimate[0], bits, *estimate[1:]], dim=1)
        yield table.double().cpu().tolist()


def batch_size(plan: Plan) -> int:
    """Pictures at once: some for annealing, whose every picture has many chains for long."""
    return 64 if plan.method == "importance" else 16


def prepare(context: Context, plan: Plan, values: Tensor, generator: torch.Generator) -> Tensor:
    """What the likelihood is a probability or density of, from pixels in [0, 1]."""
    if plan.binarization in ("stochastic", "threshold"):
        from zoo.data.binarization import binarize

        return binarize(values, plan.binarization, generator)
    if context.likelihood == "gaussian":
        return (values * 255 + torch.rand(values.shape, generator=generator)) / 256
    return values


def bits_per_dim(context: Context, log_prob: Tensor) -> Tensor:
    r"""Code length per pixel and channel, :math:`-\log_2 P / D`, from nats.

    D counts the picture without its padding, the probability pays for all of it. A density of
    pictures that were dequantised and scaled to [0, 1) is first made the probability of bins of
    width 1/256.
    """
    config, processor = context.model.config, context.processor
    paid = config.num_channels * config.image_size**2
    bits = -log_prob / math.log(2)
    if context.likelihood == "gaussian":
        bits = bits + 8 * paid
    dimensions: int = processor.num_channels * processor.size**2
    return bits / dimensions


def _importance(
    model: Any, values: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    return tuple(model.estimate(values, plan.samples, generator=generator))


def _annealed(
    model: Any, values: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, ...]:
    from zoo.models.images.annealing import annealed_log_prob

    return tuple(
        annealed_log_prob(
            model, values, num_temperatures=plan.temperatures, num_chains=plan.samples,
            generator=generator,
        )
    )  # fmt: skip


METHODS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "importance": _importance,
    "annealed": _annealed,
}


def area_under_curve(own: Tensor, other: Tensor) -> float:
    """Chance that a number of `own` is above one of `other`, ties counting half.

    The area under the receiver operating characteristic (Mann and Whitney's statistic over the
    number of pairs).

    Example:
        >>> area_under_curve(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0]))
        0.875
    """
    ordered = other.double().sort().values
    below = torch.searchsorted(ordered, own.double(), side="left")
    up_to = torch.searchsorted(ordered, own.double(), side="right")
    return ((below + up_to).double().mean() / (2 * len(other))).item()


@torch.no_grad()
def auroc(
    subject: Subject,
    *,
    other: str | None = None,
    other_split: str | None = None,
    binarization: str | None = None,
    dequantization: str | None = None,
    num_samples: int = 100,
    num_images: int | None = 1000,
) -> Outcome:
    """Chance that a picture of the data set is given a higher log-likelihood than another one's.

    One half tells nothing apart; below one half the model finds the strangers likelier than its
    own kind, a failure that likelihoods are known for (Nalisnick et al., arXiv:1810.09136).

    Args:
        subject: a model with a likelihood bound, and the pictures that should score higher.
        other: the data set that should score lower; None is Fashion-MNIST for MNIST and back.
        other_split: its split; None is that of the data set.
        binarization: of both, as in `elbo`.
        dequantization: likewise.
        num_samples: importance samples for each picture.
        num_images: a seeded choice of so many of each; None for all.

    Raises:
        UsageError: if no other data set is named or known.
    """
    check_count("num_samples", num_samples)
    other = other or OTHERS.get(subject.dataset)
    if other is None:
        raise UsageError(f"auroc on {subject.dataset} needs the option other, a data set's name")
    stranger = Subject(subject.context, other, other_split or subject.split, subject.seed)
    scores, count = [], 0
    for one in (subject, stranger):
        make, options = preparation(one, binarization, dequantization)
        pixels = one.pixels(num_images, frozen=options.get("binarization") == "frozen")
        generator = one.generator("posterior")
        found = [
            one.model.log_prob(values, num_samples, generator=generator).cpu()
            for values in one.context.batches(pixels, f"densities of {one.dataset}", make)
        ]
        scores.append(torch.cat(found))
        count = count or len(pixels)
    value = area_under_curve(*scores)
    named = {"other": other, "other_split": stranger.split}
    return Outcome(value, options={**named, **options, "num_samples": num_samples,
                                   "num_images": count})  # fmt: skip
