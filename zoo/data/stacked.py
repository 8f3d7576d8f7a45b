"""Stacked MNIST: three digits as the channels of one image, drawn from a seed.

A thousand classes, all equally likely: how many of them the samples of a generator show, and how
evenly, tells whether it has lost some (Metz et al., arXiv:1611.02163).
"""

import torch
from torch import Tensor

#: Name -> the data set of grey images that is stacked.
STACKED = {"stacked-mnist": "mnist"}
CHANNELS = 3
#: Images of each split, drawn of the same split, and what its seed is.
SPLITS = {"train": (128_000, 0), "test": (26_000, 1)}


def draw_rows(split: str, count: int) -> Tensor:
    """Which images are the channels of each stacked one: int64 `(N, 3)`, the same every time.

    Args:
        split: a key of `SPLITS`, whose N it has.
        count: images to draw from, with replacement.
    """
    size, seed = SPLITS[split]
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(count, (size, CHANNELS), generator=generator)


def stacked_label(digits: Tensor) -> Tensor:
    """Class numbers, 0 to 999, of classes of channels: int64 `(N,)` of `(N, 3)`, red first."""
    label: Tensor = digits @ torch.tensor([100, 10, 1], device=digits.device)
    return label
