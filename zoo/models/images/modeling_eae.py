"""Entropic autoencoder."""

from torch import Tensor, nn

from .configuration_eae import EAEConfig
from .distributed import gather_batch
from .entropy import kozachenko_leonenko_entropy
from .modeling_autoencoder import AutoencoderModel, AutoencoderOutput
from .networks import at_least_float32


class EAEModel(AutoencoderModel):
    r"""Entropic autoencoder (Ghose et al., UAI 2020, arXiv:2002.10631).

    .. math:: L = E[-\log q(x|z)] - \lambda \hat H(z), \quad z = BN(E(x))

    Batch norm without affine parameters gives every code dimension mean 0 and variance 1; among
    such distributions the standard normal has the largest entropy, and the estimate of the
    batch's entropy, in nats, pushes the codes there. Sampling and encoding in eval mode use the
    running statistics. The entropy and the batch norm are those of the whole batch, over all
    processes of a distributed run; accumulating gradients over smaller batches is not the same.
    """

    config_class = EAEConfig
    sees_whole_batch = ("code_norm",)

    def __init__(self, config: EAEConfig) -> None:
        super().__init__(config)
        self.code_norm = nn.BatchNorm1d(
            config.latent_size, eps=config.batch_norm_eps, affine=False
        )
        self.post_init()

    @property
    def min_batch_size(self) -> int:
        """Minimum number of images for the loss: `num_neighbors` others each, two in all."""
        neighbors: int = self.config.num_neighbors
        return max(2, neighbors + 1)

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Batch-normalised codes, shape `(B, d)`; training mode needs at least 2 images."""
        codes, own = self._batch_codes(pixel_values)
        return codes[own]

    def _batch_codes(self, pixel_values: Tensor) -> tuple[Tensor, slice]:
        """Codes of the batch, of all processes when training, and where our own are."""
        codes, own = super()._encode(pixel_values), slice(None)
        if self.training:
            codes, own = gather_batch(codes)
        return at_least_float32(self.code_norm(codes.to(self.code_norm.running_mean))), own

    def forward(self, pixel_values: Tensor, return_loss: bool = True) -> AutoencoderOutput:
        """Reconstruct a batch; see `AutoencoderOutput`.

        Raises:
            ValueError: with `return_loss` and no more images than `num_neighbors`, too few for
                an entropy.
        """
        batch_codes, own = self._batch_codes(pixel_values)
        latents = batch_codes[own]
        reconstruction, reconstruction_loss = self._reconstruction(latents, pixel_values)
        entropy = loss = None
        if return_loss:
            entropy = kozachenko_leonenko_entropy(batch_codes, self.config.num_neighbors)
            loss = reconstruction_loss - self.config.entropy_weight * entropy
        return AutoencoderOutput(
            loss=loss,
            reconstruction_loss=reconstruction_loss,
            entropy=entropy,
            reconstruction=reconstruction,
            latents=latents,
        )
