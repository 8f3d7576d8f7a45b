"""One figure of a model of the plane: density, scores, samples and data, side by side."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

CELLS, ARROWS = 161, 21  # a side, of the density and of the arrows
PANEL, DPI = 3.6, 100  # inches, dots an inch
INK = "#33608c"


def squares(side: int, bound: float) -> Tensor:
    """Points `(side * side, 2)` of a square lattice from -bound to bound, row by row upwards."""
    places = torch.linspace(-bound, bound, side)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([columns, rows], -1).flatten(0, 1)


def arrows(score: Tensor, spacing: float) -> Tensor:
    r"""Arrows `(N, 2)` in the directions of scores, none longer than the spacing.

    A score may be a hundred times another; lengths are :math:`\|s\| / (\|s\| + m)` of the
    spacing, m the median, so that both are seen.
    """
    norm = score.norm(dim=1, keepdim=True)
    shortened: Tensor = spacing * score / (norm + norm.median()).clamp_min(1e-12)
    return shortened


def plane_image(model: Any, samples: Tensor, data: Tensor | None, bound: float) -> Tensor:
    """Density, scores, samples and data of the square from -bound to bound.

    Args:
        model: of vectors of two numbers, with an energy.
        samples: of the model, `(N, 2)`.
        data: `(N, 2)`, or None, which leaves the panel out.
        bound: half the side of the square.

    Returns:
        Uint8 `(3, H, W)`.
    """
    panels = {"density": None, "score": None, "samples": samples, "data": data}
    if data is None:
        del panels["data"]
    lattice = squares(CELLS, bound)
    with torch.no_grad():
        log_density = model.log_density(lattice)
    density = (log_density - log_density.max()).exp().reshape(CELLS, CELLS).numpy()
    ends = squares(ARROWS, bound * (1 - 1 / ARROWS))
    pointing = arrows(model.score(ends), 2 * bound / ARROWS).numpy()
    figure = Figure(figsize=(PANEL * len(panels), PANEL * 1.08), dpi=DPI, layout="constrained")
    for axes, (title, points) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.set(xlim=(-bound, bound), ylim=(-bound, bound), aspect="equal", title=title)
        if points is not None:
            axes.scatter(*points.numpy().T, s=2, color=INK, alpha=0.3, linewidths=0)
            continue
        extent = (-bound, bound, -bound, bound)
        faint = 0.35 if title == "score" else 1.0
        axes.imshow(density, extent=extent, origin="lower", cmap="Blues", alpha=faint)
        if title == "score":
            axes.quiver(
                *ends.numpy().T, *pointing.T, angles="xy", scale_units="xy", scale=1.0,
                width=0.005, color=INK,
            )  # fmt: skip
    return drawn(figure)


def drawn(figure: Figure) -> Tensor:
    """A figure as uint8 `(3, H, W)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].transpose(2, 0, 1)
    return torch.from_numpy(pixels.copy())
