"""What page and figure share: tokens as labels, weights as ink."""

import io
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image
from torch import Tensor

from .statistics import Statistics

INK, OTHER_INK = "#1f5fcc", "#d2691e"  # of weights, and of logits above 0 and below
LONGEST, UPRIGHT = 10, 2  # columns of a label; of one that fits above a token
READING = (
    "A row is the token that looks, a column the token it looks at; the weights of a row add up "
    "to 1. Ink grows with the square root of the weight, from 0 to 1, the same for all heads."
)


def columns(text: str) -> int:
    """Columns of a terminal that a text takes; East Asian characters take two."""
    return sum(1 + (unicodedata.east_asian_width(one) in "WF") for one in text)


def label(token: str) -> str:
    """A token in at most ten columns, on one line.

    Example:
        >>> label("fox"), label("extraordinary")
        ('fox', 'extraordi…')
    """
    shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in token)
    if columns(shown) <= LONGEST:
        return shown
    while columns(shown) >= LONGEST:
        shown = shown[:-1]
    return f"{shown}…"


def labels(tokens: Iterable[str]) -> list[str]:
    """The tokens, none longer than ten columns."""
    return [label(token) for token in tokens]


def ink(weights: Tensor) -> bytes:
    """Weights `(rows, columns)` in [0, 1] as a PNG: one colour, more or less transparent."""
    alpha = (weights.clamp(0, 1).sqrt() * 255).round().byte().numpy()
    return _paletted(alpha, [INK] * 256, range(256))


def signed_ink(values: Tensor) -> bytes:
    """Numbers `(rows, columns)` as a PNG: one colour above 0, another below, 0 transparent."""
    greatest = values.abs().max().clamp_min(1e-30)
    index = (values / greatest * 127).round().int() + 128  # 1 to 255, 128 is 0
    alphas = [min(2 * abs(step - 128), 255) for step in range(256)]
    colors = [OTHER_INK if step < 128 else INK for step in range(256)]
    return _paletted(index.byte().numpy(), colors, alphas)


def _paletted(index: np.ndarray, colors: list[str], alphas: Iterable[int]) -> bytes:
    image = Image.fromarray(index).convert("L")
    image.putpalette([part for color in colors for part in bytes.fromhex(color[1:])])
    written = io.BytesIO()
    image.save(written, format="PNG", transparency=bytes(alphas), optimize=True)
    return written.getvalue()


def percent(share: float | None) -> str:
    """A share in percent; a dash where it is not defined."""
    return "–" if share is None else f"{100 * share:.0f} %"


#: Headings of a table of statistics, and what stands below each.
COLUMNS: dict[str, Callable[[Statistics], str]] = {
    "entropy, nats": lambda one: f"{one.entropy:.2f}",
    "of the maximum": lambda one: percent(one.entropy_share),
    "neighbours": lambda one: percent(one.neighbors),
    "itself": lambda one: percent(one.itself),
    "first": lambda one: percent(one.first),
    "last": lambda one: percent(one.last),
}


def caption(one: Statistics) -> tuple[str, str]:
    """Two short lines on a head."""
    near = "" if one.neighbors is None else f"neighbours {percent(one.neighbors)}, "
    return (
        f"entropy {one.entropy:.2f} nats, {percent(one.entropy_share)} of the maximum",
        f"{near}first {percent(one.first)}, last {percent(one.last)}",
    )
