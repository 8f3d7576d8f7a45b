"""Settings of the energy trained by multi-scale denoising score matching."""

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_energy import EnergyConfig, positive

ENERGY_NETWORKS = ("residual", "dense")
SPACINGS = ("linear", "geometric")


@strict
class MDSMConfig(EnergyConfig):
    """Multi-scale denoising score matching (Li et al., arXiv:1910.07762).

    Attributes:
        reference_sigma: sigma0, the noise at which the energy is a density's.
        min_sigma: lowest noise level of training.
        max_sigma: highest noise level of training.
        spacing: of the levels between them, `linear` or `geometric`.
        network: `residual` (images; 3 stages, each halving the image and doubling the channels)
            or `dense`; both end in a quadratic form.
        hidden_size: channels of the residual network's first convolution, or the dense layers'
            width.
        blocks_per_stage: of the residual network: 2 is Res12, 3 is Res18.
        num_hidden_layers: of the dense network.
    """

    model_type = "genae_mdsm"

    activation: str = "elu"
    reference_sigma: float | int = 0.1
    min_sigma: float | int = 0.1
    max_sigma: float | int = 3.0
    spacing: str = "geometric"
    network: str = "residual"
    hidden_size: int = 64
    blocks_per_stage: int = 2
    num_hidden_layers: int = 3

    def validate_mdsm(self) -> None:
        """Check names, sizes, levels, and that the network fits the data."""
        one_of("network", self.network, ENERGY_NETWORKS)
        one_of("spacing", self.spacing, SPACINGS)
        for field in ("hidden_size", "blocks_per_stage", "num_hidden_layers"):
            at_least(field, getattr(self, field), 1)
        for field in ("reference_sigma", "min_sigma"):
            positive(field, getattr(self, field))
        at_least("max_sigma", self.max_sigma, self.min_sigma)
        if self.network == "residual":
            if self.input_shape is not None:
                raise ValueError(
                    "a residual network reads images; use network='dense' for vectors"
                )
            if self.image_size % 8:
                raise ValueError(
                    "image_size of a residual network must be a multiple of 8, which three "
                    f"halvings need, got {self.image_size}; pad the images (pad_size of the "
                    "image processor)"
                )
