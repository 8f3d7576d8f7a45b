"""Distributions of codes to sample from: the prior, and two fitted to the codes after training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .configuration_image import AutoencoderConfig


class LatentSampler(nn.Module):
    """Base: `draw(num_samples, temperature, generator)` gives codes of shape `(N, d)`.

    Temperature multiplies standard deviations. Random numbers come from a CPU generator, so that
    a seed gives the same codes on every device.
    """

    @property
    def fitted(self) -> bool:
        """Whether there is a distribution to draw from."""
        return True

    @property
    def num_labels(self) -> int:
        """Number of labels that `draw_labeled` can be asked for; 0 where none can."""
        return 0

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """Draw codes, float32 on the generator's device (the CPU without one).

        Args:
            num_samples: N.
            temperature: factor on standard deviations.
            generator: of the random numbers; None is torch's global one.

        Raises:
            ValueError: for a temperature other than 1 where there is no spread.
        """
        raise NotImplementedError

    def draw_labeled(
        self, labels: Tensor, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """The same for one of `num_labels` each, `(N,)`, where there are labels."""
        raise NotImplementedError


def normal(
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal numbers on the generator's device; without one, on the device given."""
    if generator is None:  # said by leaving it out, or no graph with a batch of any size is made
        return torch.randn(shape, device=device)
    return torch.randn(shape, generator=generator, device=generator.device)


def uniform(
    shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device | str = "cpu"
) -> Tensor:
    """Numbers in [0, 1); devices as of `normal`."""
    if generator is None:
        return torch.rand(shape, device=device)
    return torch.rand(shape, generator=generator, device=generator.device)


class StandardNormal(LatentSampler):
    """The prior N(0, I)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.latent_size = config.latent_size

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        return temperature * normal((num_samples, self.latent_size), generator)


class FullGaussian(LatentSampler):
    """One Gaussian with a full covariance, kept as buffers; zeros until it is fitted."""

    mean: Tensor
    scale_tril: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        size = config.latent_size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale_tril", torch.zeros(size, size))

    @property
    def fitted(self) -> bool:
        """Whether a covariance has been set."""
        return bool(self.scale_tril.any())

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        noise = normal((num_samples, len(self.mean)), generator)
        return self.mean.to(noise) + temperature * noise @ self.scale_tril.to(noise).T


class GaussianMixture(LatentSampler):
    """A mixture of Gaussians with full covariances, kept as buffers; zeros until it is fitted."""

    weights: Tensor
    means: Tensor
    scale_trils: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        size, components = config.latent_size, config.num_mixture_components
        self.register_buffer("weights", torch.zeros(components))
        self.register_buffer("means", torch.zeros(components, size))
        self.register_buffer("scale_trils", torch.zeros(components, size, size))

    @property
    def fitted(self) -> bool:
        """Whether component weights have been set."""
        return bool(self.weights.any())

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        device = "cpu" if generator is None else generator.device
        weights = self.weights.to(device, torch.float32)
        chosen = torch.multinomial(weights, num_samples, replacement=True, generator=generator)
        noise = normal((num_samples, self.means.shape[1], 1), generator)
        scatter = (self.scale_trils.to(noise)[chosen] @ noise).squeeze(-1)
        return self.means.to(noise)[chosen] + temperature * scatter


SAMPLERS = {"prior": StandardNormal, "gaussian": FullGaussian, "mixture": GaussianMixture}


def checked_labels(
    labels: int | Sequence[int] | Tensor, num_samples: int, num_labels: int, sampler: str
) -> Tensor:
    """Labels to sample by as `(N,)` whole numbers, one given standing for all.

    Raises:
        ValueError: the sampler knows none, or not these, or their number is another.
    """
    if not num_labels:
        raise ValueError(f"labels: the {sampler} sampler of this model knows none; leave them out")
    chosen = torch.as_tensor(labels)
    chosen = chosen.expand(num_samples) if chosen.ndim == 0 else chosen
    if chosen.is_floating_point() or chosen.shape != (num_samples,):
        raise ValueError(f"labels must be {num_samples} whole numbers or one, got {labels!r:.80}")
    wrong = chosen[(chosen < 0) | (chosen >= num_labels)]
    if len(wrong):
        raise ValueError(f"labels: this model knows 0 to {num_labels - 1}, got {int(wrong[0])}")
    return chosen.long()
