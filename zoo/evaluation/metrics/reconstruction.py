"""How well a model reconstructs its images."""

import torch
from torch import Tensor

from zoo.evaluation.subject import Outcome, Subject
from zoo.gathering import shared


@torch.no_grad()
def reconstruction_mse(
    subject: Subject, *, binarization: str = "none", num_images: int | None = None
) -> Outcome:
    r"""Mean squared error of reconstructions, per pixel and channel, images in [0, 1].

    .. math:: \frac{1}{N D} \sum_n \| x_n - \hat x_n \|^2

    Padding that the image processor added is cut away first: zeros are easy, and would make the
    error look smaller.

    Args:
        subject: an autoencoder and its images.
        binarization: "none", "stochastic" or "threshold", applied to the images.
        num_images: how many images; None for all.
    """
    context = subject.context
    pixels = subject.pixels(num_images)

    def squares(values: Tensor) -> tuple[float, int]:
        difference = context.model.reconstruct(values) - values
        found = context.processor.crop_padding(difference).double().square()
        return found.sum().item(), found.numel()

    batches = context.batches(pixels, "reconstructing", subject.binarizer(binarization))
    sums, counts = zip(*shared(batches, squares), strict=True)
    return Outcome(
        sum(sums) / sum(counts), options={"binarization": binarization, "num_images": len(pixels)}
    )
