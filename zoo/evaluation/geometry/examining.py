"""From a model and a data set to a survey of its codes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Subject, check_count

from .codes import MIN_CODES, Codes
from .survey import Survey, survey
from .tools import Network

CHUNK = 256  # images


@dataclass(frozen=True)
class Examination:
    """A survey of a model's codes, and what is needed to draw them.

    Attributes:
        name: of the model.
        subject: model, data and seed.
        survey: the statistics.
        binarization: of the images before they were encoded.
        decode: codes to images, on the CPU.
    """

    name: str
    subject: Subject
    survey: Survey
    binarization: str
    decode: Network

    @property
    def codes(self) -> Codes:
        """The codes of the survey."""
        return self.survey.codes

    def facts(self) -> dict[str, Any]:
        """What every number of the survey depends on."""
        codes = self.codes
        return {
            "model": self.name,
            "data": self.subject.dataset,
            "split": self.subject.split,
            "n": codes.count,
            "held_out": len(codes.held_out),
            "d": codes.size,
            "seed": self.subject.seed,
            "encoder": "stochastic" if codes.stochastic else "deterministic",
            "bandwidth": codes.bandwidth,
            "binarization": self.binarization,
        }


def examine(name: str, subject: Subject, number: int) -> Examination:
    """Encode images of a split, binarised as in training, and survey the codes.

    Args:
        name: of the model, to show.
        subject: an autoencoder, its data and a seed.
        number: of encodings, n; as many other images are held out. If the split has fewer than
            2 n images, one half is encoded and the other held out.

    Raises:
        UsageError: if there are too few images.
    """
    check_count("number", number, MIN_CODES)
    images = subject.images
    number = min(number, len(images) // 2)
    if number < MIN_CODES:
        raise UsageError(
            f"a geometry needs at least {2 * MIN_CODES} images, half of them held out, and "
            f"{subject.dataset}, {subject.split}, has {len(images)}; use a larger split"
        )
    order = subject.order(len(images), "images")[: 2 * number]
    data = getattr(subject.context.card, "data", None)
    binarization = getattr(data, "binarization", None) or "none"
    mean, log_var = _encode(subject, images.pixels[order], binarization)
    labels = None if images.labels is None else images.labels[order[:number]]
    if log_var is None:
        codes = Codes.of_points(mean[:number], mean[number:], labels)
    else:
        generator = subject.generator("posterior")
        draw = torch.randn(mean[number:].shape, generator=generator, dtype=torch.float64)
        held_out = mean[number:] + (0.5 * log_var[number:].double()).exp() * draw
        codes = Codes.of_posteriors(mean[:number], log_var[:number], held_out, generator, labels)
    decode, encode = networks(subject.model)
    found = survey(
        codes, seed=subject.seed, decode=decode, encode=encode, quiet=subject.context.quiet
    )
    return Examination(name, subject, found, binarization, decode)


@torch.no_grad()
def _encode(subject: Subject, pixels: Tensor, binarization: str) -> tuple[Tensor, Tensor | None]:
    """Posterior means and log-variances; codes and None if the posterior is not Gaussian."""
    model = subject.model
    prepare = subject.binarizer(binarization)
    batches = subject.context.batches(pixels, "encoding", prepare)
    if not getattr(model, "gaussian_posterior", False):
        draws = subject.generator("codes")
        return torch.cat([model.encode_sample(x, draws).cpu() for x in batches]), None
    found = [tuple(part.cpu() for part in model.posterior(values)) for values in batches]
    mean, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
    return mean, log_var


def networks(model: Any) -> tuple[Network, Network]:
    """Decode and encode of a model: in chunks, in eval mode, without gradients, to the CPU."""

    def in_chunks(function: Callable[[Tensor], Tensor]) -> Network:
        def call(values: Tensor) -> Tensor:
            chunks = torch.split(values.to(model.device, model.dtype), CHUNK)
            with model.inference():
                return torch.cat([function(chunk).cpu() for chunk in chunks])

        return call

    return in_chunks(model.decode), in_chunks(model.encode)
