"""How close a model's codes are to the prior."""

from typing import Any

import torch
from torch import Tensor

from zoo.errors import UsageError
from zoo.evaluation.subject import Outcome, Subject, check_count
from zoo.models.images.entropy import kozachenko_leonenko_entropy

CODES = ("mean", "sample")


@torch.no_grad()
def entropy_gap(
    subject: Subject,
    *,
    codes: str = "mean",
    batch_size: int = 1000,
    num_batches: int = 10,
    num_neighbors: int = 1,
) -> Outcome:
    """Entropy of a batch of codes minus that of an N(0, I) batch of the same shape, in nats.

    0 for standard normal codes; the bias of the nearest-neighbour estimate, which exceeds the
    true entropy in high dimension, is the same on both sides and cancels. Averaged over disjoint
    batches. Negative where codes are correlated or narrow, positive where they are wide.

    Args:
        subject: an autoencoder and its images.
        codes: "mean" is what `encode` gives; "sample" draws from a VAE's posterior, whose codes
            as a whole are what the prior should match.
        batch_size: codes per batch; with fewer images, all of them.
        num_batches: maximum number of batches to average over.
        num_neighbors: k of the estimate.

    Raises:
        UsageError: if an option is out of its range, or codes are "sample" and the model has no
            posterior.
    """
    for option, value in (("num_batches", num_batches), ("num_neighbors", num_neighbors)):
        check_count(option, value)
    check_count("batch_size", batch_size, num_neighbors + 1)
    if codes not in CODES:
        raise UsageError(f"codes must be one of {', '.join(CODES)}; got {codes!r}")
    if codes == "sample" and not hasattr(subject.model, "posterior"):
        raise UsageError("codes='sample' needs a posterior, which only a VAE has; use 'mean'")
    pixels = subject.images.pixels
    size = min(batch_size, len(pixels))
    if size <= num_neighbors:
        raise UsageError(
            f"{num_neighbors} nearest neighbours need more than {size} images; use a larger split"
        )
    count = min(num_batches, len(pixels) // size)
    chosen = pixels[subject.order(len(pixels), "images")[: size * count]]
    latents = encode(subject, chosen, codes)
    generator = subject.generator("normal codes")
    gaps = []
    for batch in torch.split(latents, size):
        normal = torch.randn(batch.shape, generator=generator, dtype=batch.dtype)
        gaps.append(
            kozachenko_leonenko_entropy(batch, num_neighbors)
            - kozachenko_leonenko_entropy(normal, num_neighbors)
        )
    options: dict[str, Any] = {
        "codes": codes,
        "batch_size": size,
        "num_batches": count,
        "num_neighbors": num_neighbors,
    }
    return Outcome(torch.stack(gaps).double().mean().item(), options=options)


@torch.no_grad()
def encode(subject: Subject, pixels: Tensor, codes: str = "mean") -> Tensor:
    """Codes of 8-bit images in eval mode, shape `(N, d)`, on the CPU."""
    model = subject.model

    def of_batch(values: Tensor, generator: torch.Generator) -> Tensor:
        drawn: Tensor
        drawn = model.encode(values) if codes == "mean" else model.encode_sample(values, generator)
        return drawn.cpu()

    batches = subject.context.batches(pixels, "encoding")
    return torch.cat([*subject.shared(batches, "posterior", of_batch)])
