"""Built-in distributions of the plane whose smoothed densities are known exactly.

Smoothed by noise of standard deviation sigma, each has a density in closed form: what a model of
it learns can be measured in nats, not only looked at.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .splits import parts_of

#: Points of each split, and what its seed is.
SPLITS = {"train": (51_200, 0), "validation": (10_000, 1), "test": (10_000, 2)}


@dataclass(frozen=True)
class Planar:
    """A mixture of equal parts, each a Gaussian or a square.

    Attributes:
        centers: of the parts, float64 `(K, 2)`.
        modes: which mode each part belongs to, int64 `(K,)`.
        deviation: standard deviation of Gaussian parts; 0 for squares.
        side: of square parts; 0 for Gaussians.
    """

    centers: Tensor
    modes: Tensor
    deviation: float = 0.0
    side: float = 0.0

    @property
    def num_modes(self) -> int:
        """How many modes there are."""
        return int(self.modes.max()) + 1

    def sample(
        self, count: int, *, seed: int | None = None, sigma: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Points, float32 `(count, 2)`, and the mode of each, int64 `(count,)`.

        Args:
            count: of points.
            seed: of the draw; None draws from torch's global generator.
            sigma: standard deviation of noise to add.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        part = torch.randint(len(self.centers), (count,), generator=generator)
        within = torch.rand((count, 2), generator=generator, dtype=torch.float64) - 0.5
        noise = torch.randn((count, 2), generator=generator, dtype=torch.float64)
        spread = math.hypot(self.deviation, sigma)
        points = self.centers[part] + self.side * within + spread * noise
        return points.float(), self.modes[part]

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """Exact log-density in nats, float64 `(N,)`, of points `(N, 2)` after noise sigma."""
        parts = self._log_parts(x.double(), sigma)
        return torch.logsumexp(parts, 1) - math.log(len(self.centers))

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """Gradient of the log-density, float64 `(N, 2)`."""
        x = x.detach().double().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.log_density(x, sigma).sum(), x)
        return gradient

    def nearest_mode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mode whose part's center is nearest to each point, and how far that is, `(N,)`."""
        distance, part = torch.cdist(x.double(), self.centers).min(1)
        return self.modes[part], distance

    def _log_parts(self, x: Tensor, sigma: float) -> Tensor:
        """Log-densities of the parts, `(N, K)`."""
        spread = math.hypot(self.deviation, sigma)
        if not self.side:
            squares = x.square().sum(1, keepdim=True) + self.centers.square().sum(1)
            squares = squares - 2 * x @ self.centers.T
            return -0.5 * squares / spread**2 - math.log(2 * math.pi * spread**2)
        offsets = x[:, None] - self.centers
        half = self.side / 2
        if not spread:
            inside = (offsets.abs() <= half).all(2)
            return torch.where(inside, -2 * math.log(self.side), -math.inf).to(x)
        # By symmetry on the lower side, where the difference of two tails loses no digits.
        offsets = -offsets.abs()
        upper = torch.special.log_ndtr((offsets + half) / spread)
        lower = torch.special.log_ndtr((offsets - half) / spread)
        log_mass: Tensor = upper + torch.log(-torch.expm1(lower - upper))
        return (log_mass - math.log(self.side)).sum(2)


def _gaussians() -> Planar:
    """Eight Gaussians on a circle of radius 2."""
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    centers = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    return Planar(centers, torch.arange(8), deviation=0.1)


def _grid() -> Planar:
    """Twenty-five Gaussians, one apart."""
    places = torch.arange(-2.0, 3.0, dtype=torch.float64)
    return Planar(torch.cartesian_prod(places, places), torch.arange(25), deviation=0.05)


def _checkerboard() -> Planar:
    """The eight dark squares of four by four, uniformly."""
    places = torch.arange(-1.5, 2.0, dtype=torch.float64)
    centers = torch.cartesian_prod(places, places)
    dark = centers.add(1.5).sum(1) % 2 == 0
    return Planar(centers[dark], torch.arange(8), side=1.0)


def _spirals() -> Planar:
    """Two arms of three quarters of a turn and more, each a row of 128 Gaussians."""
    share = torch.linspace(0, 1, 128, dtype=torch.float64).sqrt()
    angle, radius = 3 * math.pi * share, 0.2 + 2 * share
    arm = radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    modes = torch.arange(2).repeat_interleave(len(arm))
    return Planar(torch.cat([arm, -arm]), modes, deviation=0.06)


_MAKERS: dict[str, Callable[[], Planar]] = {
    "gaussians-2d": _gaussians,
    "checkerboard-2d": _checkerboard,
    "spirals-2d": _spirals,
    "grid-2d": _grid,
}
#: Every distribution by the name of its data set.
PLANAR: dict[str, Planar] = {name: make() for name, make in _MAKERS.items()}


def draw_split(name: str, split: str, max_rows: int | None = None) -> tuple[Tensor, Tensor]:
    """One split of a planar data set: points, float32 `(N, 2)`, and modes, int64 `(N,)`.

    The same points every time: a split is a seed.

    Args:
        name: a key of `PLANAR`.
        split: `train`, `validation` or `test`, in the slicing syntax of `datasets`.
        max_rows: the first so many only.

    Raises:
        UsageError: there is no such split, or nothing in it.
    """
    sizes = {name: size for name, (size, _) in SPLITS.items()}
    drawn = []
    for part, rows in parts_of(name, split, sizes):
        size, seed = SPLITS[part]
        points, modes = PLANAR[name].sample(size, seed=seed)
        drawn.append((points[rows], modes[rows]))
    points, modes = (torch.cat(both)[:max_rows] for both in zip(*drawn, strict=True))
    return points, modes
