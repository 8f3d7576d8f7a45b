"""How discrete codes are used, and how well their prior knows them."""

import math

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import BATCH, Outcome, Subject
from zoo.gathering import shared


@torch.no_grad()
def code_perplexity(
    subject: Subject, *, binarization: str = "none", num_images: int | None = None
) -> Outcome:
    r"""How many of a codebook's vectors would be in use, were all used evenly, from 1 to K.

    .. math:: \exp\Big(-\sum_k p_k \log p_k\Big)

    with :math:`p_k` the share of code k among all codes of all images.

    Args:
        subject: a model with discrete codes, and its images.
        binarization: "none", "stochastic" or "threshold", applied to the images.
        num_images: how many images; None for all.
    """
    codes = _codes(subject, binarization, num_images)
    options = {"binarization": binarization, "num_images": len(codes)}
    return Outcome(math.exp(_entropy(codes)), options=options)


@torch.no_grad()
def bits_per_code(
    subject: Subject, *, binarization: str = "none", num_images: int | None = None
) -> Outcome:
    """Mean of minus the base-2 logarithm of the prior's probability, per code of an image.

    The floor is the entropy of the codes' frequencies among the same images: what a prior pays
    that sees neither place nor neighbours, but was fitted to these images.

    Args:
        subject: a model with discrete codes and a prior over them, and its images.
        binarization: "none", "stochastic" or "threshold", applied to the images.
        num_images: how many images; None for all.

    Raises:
        UsageError: the model has no prior.
    """
    prior = subject.model.prior
    if prior is None:
        raise UsageError(
            "bits_per_code: this model has no prior over its codes; train one with "
            "prior_hidden_size above 0"
        )
    codes = _codes(subject, binarization, num_images)
    chunks = subject.context.track(torch.split(codes, BATCH), "prior", -(-len(codes) // BATCH))
    device = prior.start.device
    sums = shared(chunks, lambda chunk: prior.log_prob(chunk.to(device)).double().sum().item())
    nats = -sum(sums)
    options = {"binarization": binarization, "num_images": len(codes)}
    bits = 1 / math.log(2)
    return Outcome(bits * nats / codes.numel(), bits * _entropy(codes), options=options)


def _codes(subject: Subject, binarization: str, num_images: int | None) -> Tensor:
    """Codes of the images, int64 `(N, h, w)`, on the CPU."""
    context = subject.context
    pixels = subject.pixels(num_images)
    batches = context.batches(pixels, "encoding", subject.binarizer(binarization))
    return torch.cat([*shared(batches, lambda values: context.model.encode(values).cpu())])


def _entropy(codes: Tensor) -> float:
    """Entropy of the codes' frequencies, in nats."""
    shares = torch.bincount(codes.flatten()).double() / codes.numel()
    return float(torch.special.entr(shares).sum())
