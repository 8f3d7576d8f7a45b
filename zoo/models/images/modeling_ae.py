"""Plain autoencoder."""

from torch import Tensor

from .configuration_ae import AEConfig
from .modeling_autoencoder import AutoencoderModel, AutoencoderOutput


class AEModel(AutoencoderModel):
    r"""Plain autoencoder, :math:`\min E\,[-\log q(x | z = E(x))]`.

    Nothing shapes its codes, so decoded N(0, I) noise is no image of the data; the `gaussian`
    and `mixture` samplers, fitted to its codes, are.
    """

    config_class = AEConfig

    def __init__(self, config: AEConfig) -> None:
        super().__init__(config)
        self.post_init()

    def forward(self, pixel_values: Tensor, return_loss: bool = True) -> AutoencoderOutput:
        """Reconstruct a batch; see `AutoencoderOutput`."""
        latents = self._encode(pixel_values)
        reconstruction, loss = self._reconstruction(latents, pixel_values)
        return AutoencoderOutput(
            loss=loss if return_loss else None,
            reconstruction_loss=loss,
            reconstruction=reconstruction,
            latents=latents,
        )
