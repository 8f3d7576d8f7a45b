"""Encoders and decoders of grids: images to a vector at each place of a grid, and back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_vq_vae import VQVAEConfig
from .layer_networks import LayersDecoder, LayersEncoder
from .networks import Upsampling, scaled

CHANNELS = 256  # at width 1, as in the paper


class ResidualBlock(nn.Module):
    """A 3x3 and a 1x1 convolution, each behind a ReLU, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.inner = nn.Conv2d(channels, hidden, 3, padding=1)
        self.outer = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.outer(functional.relu(self.inner(functional.relu(x))))
        return x + added


class GridEncoder(nn.Module):
    """Images `(B, C, H, W)` in [0, 1] to vectors `(B, d, H / 4, W / 4)`."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        width = scaled(CHANNELS, config.width_multiplier)
        half = max(1, width // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(config.num_channels, half, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(half, width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            *(ResidualBlock(width) for _ in range(config.num_residual_blocks)), nn.ReLU(),
            nn.Conv2d(width, config.latent_size, 1),
        )  # fmt: skip

    def forward(self, pixel_values: Tensor) -> Tensor:
        pixels = (2 * pixel_values - 1).contiguous(memory_format=torch.channels_last)
        vectors: Tensor = self.layers(pixels)
        return vectors


class GridDecoder(nn.Module):
    """Vectors `(B, d, h, w)` to the likelihood's parameters `(B, num_outputs, 4 h, 4 w)`."""

    def __init__(self, config: VQVAEConfig, num_outputs: int) -> None:
        super().__init__()
        multiplier = config.decoder_width_multiplier or config.width_multiplier
        width = scaled(CHANNELS, multiplier)
        half = max(1, width // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(config.latent_size, width, 3, padding=1),
            *(ResidualBlock(width) for _ in range(config.num_residual_blocks)), nn.ReLU(),
            Upsampling(width, half, 4, 2, 1), nn.ReLU(),
            Upsampling(half, num_outputs, 4, 2, 1),
        )  # fmt: skip

    def forward(self, vectors: Tensor) -> Tensor:
        params: Tensor = self.layers(vectors.contiguous(memory_format=torch.channels_last))
        return params.contiguous()


class LayersGridEncoder(LayersEncoder):
    """Images to vectors `(B, d, h, w)` by a graph of layers, whose output is the grid."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__(config)
        self.grid = (*config.grid_shape, config.latent_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        grids: Tensor = super().forward(pixel_values).unflatten(1, self.grid)
        return grids.movedim(-1, 1)


class LayersGridDecoder(LayersDecoder):
    """Vectors `(B, d, h, w)` to the likelihood's parameters by a graph of layers."""

    def forward(self, vectors: Tensor) -> Tensor:
        return super().forward(vectors.movedim(1, -1))


GRID_ENCODERS: dict[str, Callable[[VQVAEConfig], nn.Module]] = {
    "convolutional": GridEncoder,
    "layers": LayersGridEncoder,
}
GRID_DECODERS: dict[str, Callable[[VQVAEConfig, int], nn.Module]] = {
    "convolutional": GridDecoder,
    "layers": LayersGridDecoder,
}
