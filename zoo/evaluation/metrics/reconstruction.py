"""How well a model reconstructs its images."""

import torch

from zoo.evaluation.subject import Outcome, Subject


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
    total, count = 0.0, 0
    for values in context.batches(pixels, "reconstructing", subject.binarizer(binarization)):
        difference = context.model.reconstruct(values) - values
        squares = context.processor.crop_padding(difference).double().square()
        total += squares.sum().item()
        count += squares.numel()
    return Outcome(
        total / count, options={"binarization": binarization, "num_images": len(pixels)}
    )
