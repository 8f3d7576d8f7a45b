"""Parts of images that are hidden, to be filled in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Where an image is missing, as a function of its side: rows, columns.
MASKS = {
    "left": lambda side: (slice(None), slice(side // 2)),
    "right": lambda side: (slice(None), slice(side // 2, None)),
    "lower": lambda side: (slice(side // 2, None), slice(None)),
    "center": lambda side: (slice(side // 4, side - side // 4),) * 2,
}


def hidden_part(mask: str, processor: Any) -> "Tensor":
    """Where the images of a processor are missing, its padding aside; bool `(1, 1, S, S)`.

    Args:
        mask: a key of `MASKS`.
        processor: of the images.
    """
    import torch

    hidden = torch.zeros((1, 1, processor.output_size, processor.output_size), dtype=torch.bool)
    processor.crop_padding(hidden)[(..., *MASKS[mask](processor.size))] = True
    return hidden
