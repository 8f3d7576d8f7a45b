r"""What energy models share: densities, scores, denoising, the partition function.

The conventions, once. A model gives an unnormalised log-density s(x) in nats, one number per
image or vector, summed over dimensions; the energy is :math:`E(x) = -s(x)`, low where x is
likely, and the score is :math:`\nabla s(x)`, in nats per unit of x. The density is that of the
data after Gaussian noise of standard deviation `noise_level` was added, in the data's own unit
(images lie in [0, 1]); so points of it are noisy, and :math:`x + \sigma^2 \nabla s(x)`, Tweedie's
formula, is the mean of the clean data behind x.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from .configuration_energy import EnergyConfig
from .modeling_image import GenaePreTrainedModel
from .partition import LogZ, StandardizedDensity, annealed_log_z, importance_log_z

FEW_DIMENSIONS = 8  # up to here importance sampling gives log Z
NUM_SAMPLES = 2**20  # of a stored log Z
NARROW = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


@dataclass
class EnergyOutput(ModelOutput):
    """What an energy model's forward returns; losses are averaged over the batch.

    Attributes:
        loss: what training minimises; None without `return_loss`.
        density_loss: squared error of denoised data, summed over dimensions.
        generator_density_loss: the same of the generator's density (DDE).
        divergence: of generator and data, smoothed, in nats, both ways together (Jeffreys'), by
            the two densities; outside of training (DDE).
        log_density: of the images or vectors, `(B,)`, in nats; without `return_loss`.
        samples: as many draws of the generator, where there is one; without `return_loss`.
    """

    loss: Tensor | None = None
    density_loss: Tensor | None = None
    generator_density_loss: Tensor | None = None
    divergence: Tensor | None = None
    log_density: Tensor | None = None
    samples: Tensor | None = None


def denoising_errors(
    log_density: Callable[[Tensor], Tensor],
    clean: Tensor,
    noise: Tensor,
    sigma: Tensor | float,
    jump: float,
) -> Tensor:
    r"""Squared distance of data from what a score makes of noisy data, `(B,)`.

    .. math:: \| \tilde x + j \nabla s(\tilde x) - x \|^2, \quad \tilde x = x + \sigma \epsilon

    Its mean is least where :math:`\tilde x + j \nabla s(\tilde x)` is the mean of the clean data
    behind it: with :math:`j = \sigma^2`, where s is the smoothed log-density plus a constant.

    Args:
        log_density: s, `(B,)` of `(B, ...)`, differentiable twice.
        clean: x.
        noise: standard normal numbers, of the same shape.
        sigma: one, or one for each of the batch, with as many axes as x.
        jump: j.
    """
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        noisy = (clean + sigma * noise).detach().requires_grad_()
        (score,) = torch.autograd.grad(log_density(noisy).sum(), noisy, create_graph=graph)
    return (noisy.detach() + jump * score - clean).square().flatten(1).sum(1)


class EnergyModel(GenaePreTrainedModel):
    """Base of energies over images `(B, C, H, W)` or vectors `(B, d)`.

    Subclasses give the network's scalar (`raw_log_density`) and the noise that its density
    includes (`noise_level`). Everything computes in float32 or float64: in half precision the
    score, a difference of large numbers, is visible noise, and float16 overflows at the scores of
    low noise levels; so `model.half()` and autocast are refused, and training leaves TF32 off.

    An additive constant has no gradient under a score loss. It is the buffer `constant`: minus
    log Z from the moment `store_log_z` was called, until the next training step.
    """

    allows_tf32 = False
    constant: Tensor
    constant_error: Tensor
    constant_samples: Tensor

    def __init__(self, config: EnergyConfig) -> None:
        super().__init__(config)
        self.register_buffer("constant", torch.zeros(()))
        self.register_buffer("constant_error", torch.zeros(()))
        self.register_buffer("constant_samples", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            for buffer in self.buffers(recurse=False):
                init.zeros_(buffer)

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise that the density includes, in the data's unit."""
        raise NotImplementedError

    def raw_log_density(self, x: Tensor) -> Tensor:
        """The network's scalar `(B,)`, in nats, without a constant, with gradient."""
        raise NotImplementedError

    def check_pixel_values(self, pixel_values: Tensor) -> None:
        """Raise `ValueError` unless data have the config's shape; images lie in [0, 1]."""
        self._check_precision(pixel_values)
        if self.config.input_shape is None:
            super().check_pixel_values(pixel_values)
        else:
            self._check_points(pixel_values)

    def log_density(self, x: Tensor, *, normalized: bool = False) -> Tensor:
        """Log-density, `(N,)`, in nats, with gradient.

        Args:
            x: images or vectors, noisy or not, `(N, ...)`.
            normalized: subtract log Z: the stored one, which is drawn at the first call of a
                model of vectors and kept.

        Raises:
            ValueError: for another shape or precision, or if no log Z is stored of images.
        """
        self._check_points(x)
        value = self.raw_log_density(x)
        if not normalized:
            return value
        if not self.constant_samples.item():
            if self.config.data_size > FEW_DIMENSIONS:
                raise ValueError(
                    f"log Z of {self.config.data_size} dimensions takes annealing and is not "
                    "stored; call store_log_z first, or compare unnormalised values"
                )
            self.store_log_z()
        return value + self.constant

    def energy(self, x: Tensor) -> Tensor:
        """Minus the log-density, unnormalised, `(N,)`, in nats, with gradient."""
        return -self.log_density(x)

    def score(self, x: Tensor) -> Tensor:
        """Gradient of the log-density by x, shape of x, in nats per unit of x, without a graph.

        The gradient of a scalar, so it has no curl. Parameters and their gradients stay.
        """
        self._check_points(x)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.raw_log_density(x).sum(), x)
        return gradient

    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Mean of the clean data behind noisy x, by Tweedie's formula; shape of x, no graph.

        Args:
            x: images or vectors with noise.
            sigma: its standard deviation; None means the model's own `noise_level`.
        """
        if sigma is not None and not 0 < sigma < float("inf"):
            raise ValueError(f"sigma must be positive and finite, got {sigma}")
        return x + self.jump(sigma) * self.score(x)

    def jump(self, sigma: float | None = None) -> float:
        """Factor of the score in Tweedie's formula: the variance of the noise."""
        return (self.noise_level if sigma is None else sigma) ** 2

    def log_z(
        self,
        num_samples: int = NUM_SAMPLES,
        seed: int = 0,
        *,
        num_temperatures: int = 1000,
    ) -> LogZ:
        """Log of the integral of exp(log_density), with its standard error, in nats.

        Up to 8 dimensions by importance sampling from N(start_mean, start_scale^2), which must
        cover the density; else by annealed importance sampling from there, where the value is a
        lower bound on average (`log_z_bounds` gives the other side).

        Args:
            num_samples: points drawn, or chains annealed (16 are many).
            seed: of all random numbers.
            num_temperatures: of annealing.
        """
        if num_samples < 2:
            raise ValueError(f"num_samples must be at least 2, got {num_samples}")
        generator = torch.Generator().manual_seed(seed)
        with self.inference():
            density, like = self._standardized(), self._like()
            if self.config.data_size <= FEW_DIMENSIONS:
                return importance_log_z(density, num_samples, like, generator)
            return annealed_log_z(density, num_samples, num_temperatures, like, generator)[0]

    def store_log_z(
        self, num_samples: int = NUM_SAMPLES, seed: int = 0, *, num_temperatures: int = 1000
    ) -> LogZ:
        """Estimate log Z (see `log_z`) and keep it for `log_density(x, normalized=True)`."""
        found = self.log_z(num_samples, seed, num_temperatures=num_temperatures)
        with torch.no_grad():
            self.constant.fill_(-found.value)
            self.constant_error.fill_(found.standard_error)
            self.constant_samples.fill_(num_samples)
        return found

    @property
    def stored_log_z(self) -> LogZ | None:
        """Log Z and its standard error as `store_log_z` kept them, in nats; None if it did not."""
        if not self.constant_samples.item():
            return None
        return LogZ(-self.constant.item(), self.constant_error.item())

    def end_training(self) -> None:
        """Store log Z where it is cheap; called once after training."""
        if self.config.data_size <= FEW_DIMENSIONS:
            self.store_log_z()

    def _standardized(self) -> StandardizedDensity:
        config = self.config
        return StandardizedDensity(
            self.raw_log_density, config.data_shape, config.start_mean, config.start_scale
        )

    def _like(self) -> Tensor:
        return next(self.parameters())

    def _check_points(self, x: Tensor) -> None:
        self._check_precision(x)
        if tuple(x.shape[1:]) != self.config.data_shape or x.ndim == 0:
            shape = ", ".join(map(str, self.config.data_shape))
            raise ValueError(f"x must have shape (batch, {shape}), got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"x must be floats, got {x.dtype}")

    def _check_precision(self, x: Tensor) -> None:
        narrow = NARROW.get(x.dtype) or NARROW.get(self.dtype)
        if narrow is None and torch.is_autocast_enabled(x.device.type):
            narrow = NARROW.get(torch.get_autocast_dtype(x.device.type))
        if narrow:
            raise ValueError(
                f"an energy model computes in float32 or float64, not {narrow}: scores are "
                "differences of large numbers, visible noise at 8 bits and beyond float16's "
                "range at low noise levels; use model.float(), and no autocast"
            )
