"""The figures of the page, one row each in a table, drawn without matplotlib's global state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats
from torch import Tensor

from zoo.evaluation.subject import generator_of
from zoo.models.images.interpolation import interpolate_latents
from zoo.plots import grid

from .examining import Examination
from .statistics.overlap import hole_threshold, pairs_of

BALLS = 300
QUANTILES = np.linspace(0.05, 0.95, 15)
WAYS, STEPS = 4, 11  # rows of images on the way from one code to another
DENSITY_PAIRS, DENSITY_STEPS = 200, 21
SHOWN = 40  # prior samples of either kind
CANDIDATES = 2000
ONE_COLOR = "#33608c"


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure of the page.

    Attributes:
        name: for its anchor.
        title: above it.
        caption: below it.
        draw: makes it.
        plane: whether it is for codes of two dimensions only.
        noise: whether it is for encoders with noise only.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[Examination], Figure]
    plane: bool = False
    noise: bool = False

    def fits(self, examination: Examination) -> bool:
        """Whether it can be drawn for these codes."""
        codes = examination.codes
        return (codes.size == 2 or not self.plane) and (codes.stochastic or not self.noise)


def _axes(width: float = 6.4, height: float = 4.6) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plane_of(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and two directions `(2, d)` to project codes on; in a plane, its axes."""
    size = codes.shape[1]
    if size <= 2:
        return codes.new_zeros(size), torch.eye(2, size, dtype=codes.dtype)
    center = codes.mean(0)
    _, _, directions = torch.linalg.svd(codes - center, full_matrices=False)
    return center, directions[:2]


def _colors(labels: Tensor | None, count: int) -> list[Any]:
    """One colour per label, or one for all."""
    if labels is None:
        return [ONE_COLOR] * count
    wheel = matplotlib.colormaps["tab20"]  # its even colours are the strong ones
    return [wheel((2 * int(label)) % 20 + int(label) // 10 % 2) for label in labels]


def _legend(axes: Any, labels: Tensor | None) -> None:
    """A legend of class numbers."""
    if labels is None:
        return
    known = torch.tensor(sorted(set(labels.tolist()))[:20])
    for label, color in zip(known.tolist(), _colors(known, len(known)), strict=True):
        axes.scatter([], [], color=color, label=str(label))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, title="label")


def scatter(examination: Examination) -> Figure:
    """Samples of the codes, coloured by label."""
    codes = examination.codes
    figure, axes = _axes()
    center, directions = plane_of(codes.samples)
    points = ((codes.samples - center) @ directions.T).numpy()
    if codes.size == 1:
        points[:, 1] = codes.mean.std().item() * np.linspace(-1, 1, len(points))
    axes.scatter(*points.T, s=5, c=_colors(codes.labels, len(points)), alpha=0.7, linewidths=0)
    if codes.size == 2:
        turn = np.linspace(0, 2 * np.pi, 200)
        for radius in stats.chi(2).ppf([0.5, 0.95]):
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="0.4", lw=0.8, ls="--")
    axes.set_aspect("equal")
    names = ("z1", "z2") if codes.size <= 2 else ("first own axis", "second own axis")
    axes.set(xlabel=names[0], ylabel=names[1])
    _legend(axes, codes.labels)
    return figure


def balls(examination: Examination) -> Figure:
    """Posteriors of a plane as ellipses of one standard deviation."""
    codes = examination.codes
    figure, axes = _axes()
    mean, widths = codes.mean[:BALLS], 2 * (0.5 * codes.log_var[:BALLS]).exp()
    colors = _colors(None if codes.labels is None else codes.labels[:BALLS], len(mean))
    axes.add_collection(
        EllipseCollection(
            widths[:, 0].numpy(), widths[:, 1].numpy(), np.zeros(len(mean)), units="xy",
            offsets=mean.numpy(), offset_transform=axes.transData, facecolors=colors, alpha=0.45,
            edgecolors=colors,
        )
    )  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color="0.2", lw=1, ls="--", label="the prior's ball")
    reach = 1.1 * (mean.abs() + widths / 2).max().item()
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="z1", ylabel="z2")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="upper right")
    return figure


def _show(axes: Any, images: Tensor, columns: int) -> None:
    """Draw a grid of images, uncropped, without axes."""
    drawn = np.asarray(grid(images.float().clamp(0, 1), columns, padding=1, scale=2))
    axes.imshow(drawn, cmap="gray" if drawn.ndim == 2 else None, vmin=0, vmax=255,
                interpolation="nearest")  # fmt: skip
    axes.set_axis_off()


def _decoded(examination: Examination, codes: Tensor) -> Tensor:
    images = examination.decode(codes.float())
    cropped: Tensor = examination.subject.context.processor.crop_padding(images)
    return cropped


def manifold(examination: Examination) -> Figure:
    """The decoded grid of prior quantiles; the second dimension rises upwards."""
    steps = torch.from_numpy(stats.norm.ppf(QUANTILES))
    rows, columns = torch.meshgrid(steps.flip(0), steps, indexing="ij")
    codes = torch.stack([columns.flatten(), rows.flatten()], 1)
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    _show(figure.subplots(), _decoded(examination, codes), len(steps))
    return figure


def radii(examination: Examination) -> Figure:
    """Histogram of ||z|| against the density of chi(d)."""
    codes = examination.codes
    figure, axes = _axes(height=3.6)
    norms, chi = codes.samples.norm(dim=1).numpy(), stats.chi(codes.size)
    axes.hist(norms, bins=60, density=True, color=ONE_COLOR, alpha=0.7, label="codes")
    reach = max(norms.max(), chi.ppf(0.9999))
    line = np.linspace(0, reach, 400)
    axes.plot(line, chi.pdf(line), color="#c0392b", lw=1.6, label=f"chi({codes.size})")
    axes.set(xlabel="distance from the origin", ylabel="density", xlim=(0, reach))
    axes.legend(frameon=False)
    return figure


def rates(examination: Examination) -> Figure:
    """Mean KL of every dimension, and how they are distributed."""
    parts = np.array(examination.survey["rate"].parts)
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes, beside = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    axes.bar(np.arange(len(parts)), np.sort(parts)[::-1], color=ONE_COLOR)
    axes.axhline(0.01, color="#c0392b", lw=1, ls="--")
    axes.set(xlabel="dimensions, largest first", ylabel="mean KL, nats")
    beside.hist(parts, bins=12, orientation="horizontal", color=ONE_COLOR, alpha=0.7)
    beside.set(xlabel="dimensions")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for each in (axes, beside):
        each.spines[["top", "right"]].set_visible(False)
    return figure


def ways(examination: Examination) -> Figure:
    """Images along the line and along the arc between two codes; two rows for each pair."""
    start, end = pairs_of(examination.codes, WAYS)
    rows = torch.stack(
        [interpolate_latents(start, end, STEPS, mode) for mode in ("linear", "slerp")], 1
    )
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    _show(figure.subplots(), _decoded(examination, rows.flatten(0, 2)), STEPS)
    return figure


def densities(examination: Examination) -> Figure:
    """Log-density of the aggregate posterior along interpolations of held-out codes."""
    codes = examination.codes
    start, end = pairs_of(codes, DENSITY_PAIRS)
    figure, axes = _axes(height=3.6)
    share = np.linspace(0, 1, DENSITY_STEPS)
    for mode, color in (("linear", "#c0392b"), ("slerp", ONE_COLOR)):
        path = interpolate_latents(start, end, DENSITY_STEPS, mode)
        found = codes.density.log_prob(path.flatten(0, 1)).reshape(path.shape[:2]).numpy()
        low, middle, high = np.percentile(found, [25, 50, 75], axis=0)
        axes.plot(share, middle, color=color, label=mode)
        axes.fill_between(share, low, high, color=color, alpha=0.18, linewidth=0)
    axes.set(xlabel="share of the way", ylabel="log-density of codes, nats", xlim=(0, 1))
    axes.legend(frameon=False)
    return figure


def prior_samples(examination: Examination) -> Figure:
    """Decoded prior codes from the emptiest places, and some from where codes are."""
    codes, seed = examination.codes, examination.subject.seed
    prior = torch.randn(
        (CANDIDATES, codes.size), generator=generator_of(seed, "shown"), dtype=torch.float64
    )
    density = codes.density.log_prob(prior)
    inside = density < hole_threshold(codes)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    for axes, chosen, title in zip(
        figure.subplots(1, 2),
        (prior[inside], prior[~inside]),
        ("in holes", "where codes are"),
        strict=True,
    ):
        share = len(chosen) / CANDIDATES
        axes.set_title(f"{title}: {100 * share:.1f} % of the prior", fontsize=9)
        if len(chosen):
            _show(axes, _decoded(examination, chosen[:SHOWN]), 8)
        else:
            axes.text(0.5, 0.5, f"none of {CANDIDATES} prior codes", ha="center")
            axes.set_axis_off()
    return figure


PLOTS = (
    Plot("scatter", "The codes", "Each point is the code of one image (a posterior sample "
            "where the encoder has noise). Of two dimensions: dashed circles hold half and 95 % "
            "of the prior. Of more: the two directions in which codes vary most; such a shadow "
            "is no evidence about gaps.", scatter),
    Plot("balls", "Posterior balls", "One standard deviation around each of "
            f"{BALLS} codes: any point of a ball should decode to its image. Dashed: one "
            "standard deviation of the prior.", balls, plane=True, noise=True),
    Plot("manifold", "The decoded plane", "Images decoded from a grid of prior quantiles, "
            "0.05 to 0.95.", manifold, plane=True),
    Plot("radii", "How far out codes lie", "Distances from the origin, and the density that "
            "N(0, I) gives them.", radii),
    Plot("rates", "What each dimension costs", "Mean KL by dimension; one below the dashed "
            "line, 0.01 nats, says nothing.", rates, noise=True),
    Plot("ways", "From one code to another", "Rows in pairs, the upper on the straight line "
            "between two held-out codes, the lower along the arc.", ways),
    Plot("densities", "Density on the way", "Median and quartiles over pairs of held-out "
            "codes: a dip is a blank that the way crosses.", densities),
    Plot("prior-samples", "Prior samples that fall in holes", "A hole is a place emptier than "
            "those of 99 % of held-out codes.", prior_samples),
)  # fmt: skip
