"""One energy for many noise levels, trained by denoising score matching."""

import torch
from torch import Tensor
from torch import distributed as dist

from .configuration_mdsm import MDSMConfig
from .distributed import is_spread
from .energies import EnergyOutput, denoising_errors
from .energy_networks import QuadraticEnergy
from .energy_sampling import SamplingEnergyModel
from .importance import standard_normal


class MDSMModel(SamplingEnergyModel):
    r"""Multi-scale denoising score matching (Li et al., arXiv:1910.07762).

    .. math:: L = E_\sigma \sigma^{-2} \| \tilde x - \sigma_0^2 \nabla E(\tilde x) - x \|^2

    (times :math:`\sigma_0^4` the paper's, which is how its authors print it). The network is not
    told the noise level: :math:`\tilde x - \sigma_0^2 \nabla E(\tilde x)` is the mean of the clean
    data behind :math:`\tilde x` whatever the level was, and E the energy at the reference noise
    :math:`\sigma_0`. Where levels overlap, the minimum is at the mean of the posterior means of
    all levels, :math:`-\sigma_0^2 \nabla E = \sum_\sigma \nabla p_\sigma / \sum_\sigma
    p_\sigma \sigma^{-2}` with the smoothed densities :math:`p_\sigma`. The levels belong to places
    in the batch, over all processes, so every step sees all of them.
    """

    config_class = MDSMConfig

    def __init__(self, config: MDSMConfig) -> None:
        super().__init__(config)
        self.network = QuadraticEnergy(config)
        self.post_init()

    @property
    def noise_level(self) -> float:
        return float(self.config.reference_sigma)

    def jump(self, sigma: float | None = None) -> float:
        """The reference noise's variance at every level: the energy is that of the reference."""
        return self.noise_level**2

    def raw_log_density(self, x: Tensor) -> Tensor:
        energy: Tensor = self.network(x)
        return -energy

    def levels(self, batch: int) -> Tensor:
        """Noise levels of a batch's places on this process, `(batch,)`."""
        low, high = float(self.config.min_sigma), float(self.config.max_sigma)
        first, places = 0, batch
        if is_spread():
            first, places = dist.get_rank() * batch, dist.get_world_size() * batch
        share = torch.linspace(0, 1, places, dtype=torch.float64)[first : first + batch]
        if self.config.spacing == "linear":
            return low + share * (high - low)
        return low * torch.pow(high / low, share)

    def forward(
        self, pixel_values: Tensor, return_loss: bool = True, noise: Tensor | None = None
    ) -> EnergyOutput:
        """The loss of a batch of clean data, or its log-densities without `return_loss`.

        Args:
            pixel_values: images `(B, C, H, W)` in [0, 1], or vectors `(B, d)`.
            return_loss: train, or only look.
            noise: standard normal numbers added to the data, times the levels; drawn if None.
        """
        self.check_pixel_values(pixel_values)
        if not return_loss:
            return EnergyOutput(log_density=self.log_density(pixel_values))
        if self.training:
            self.constant_samples.zero_()  # log Z is that of weights about to change
        if noise is None:
            noise = standard_normal(pixel_values.shape, pixel_values, None)
        sigma = self.levels(len(pixel_values)).to(pixel_values)
        wide = sigma.reshape(-1, *[1] * (pixel_values.ndim - 1))
        errors = denoising_errors(self.raw_log_density, pixel_values, noise, wide, self.jump())
        loss = (errors / sigma.square()).mean()
        return EnergyOutput(loss=loss, density_loss=errors.mean())
