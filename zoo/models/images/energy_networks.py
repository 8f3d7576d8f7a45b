"""Networks of the energy models: scalars of images or vectors, and generators of them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_dde import DDEConfig
from .configuration_mdsm import MDSMConfig

# Twice differentiable: a score loss differentiates the gradient by the input once more.
ACTIVATIONS = {"softplus": nn.Softplus, "tanh": nn.Tanh, "silu": nn.SiLU, "elu": nn.ELU}


class ZeroLinear(nn.Linear):
    """A linear layer whose weights start at zero."""


class Features(nn.Module):
    """Base: images or vectors to features `(B, size)`."""

    size: int


class DenseFeatures(Features):
    """`(B, ...)` flattened, then linear layers of one width: `(B, size)`."""

    def __init__(self, num_inputs: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in in [num_inputs, *[width] * (depth - 1)]:
            layers += [nn.Linear(fan_in, width), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)
        self.size = width

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made


class ConnectedFeatures(Features):
    """As `DenseFeatures`, but each layer reads the input and all earlier layers: `(B, size)`."""

    def __init__(self, num_inputs: int, width: int, depth: int, activation: str) -> None:
        super().__init__()
        sizes = [num_inputs + number * width for number in range(depth + 1)]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes[:-1])
        self.activation = ACTIVATIONS[activation]()
        self.size = sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = torch.cat([x, self.activation(layer(x))], dim=1)
        return x


class ConvolutionalFeatures(Features):
    """Three 4x4 convolutions of stride 2, the channels doubled twice; flattened `(B, size)`."""

    def __init__(self, num_channels: int, image_size: int, width: int, activation: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_in, channels in (
            (num_channels, width),
            (width, 2 * width),
            (2 * width, 4 * width),
        ):
            layers += [nn.Conv2d(fan_in, channels, 4, 2, 1), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.size = 4 * width * (image_size // 8) ** 2

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return made


DENSE = {"dense": DenseFeatures, "dense_connected": ConnectedFeatures}


class LogDensity(nn.Module):
    r"""A scalar of each image or vector, `(B,)`, without an additive constant (see `EnergyModel`).

    A bias at the end has no gradient under a score loss, so there is none. With `parabola` the
    network is f in :math:`(f(x) - \|x\|^2 / 2) / \sigma^2`: its gradient is the denoised x itself.
    """

    def __init__(self, config: DDEConfig) -> None:
        super().__init__()
        width, activation = config.hidden_size, config.activation
        if config.network == "convolutional":
            self.features: Features = ConvolutionalFeatures(
                config.num_channels, config.image_size, width, activation
            )
        else:
            self.features = DENSE[config.network](
                config.data_size, width, config.num_hidden_layers, activation
            )
        self.output = nn.Linear(self.features.size, 1, bias=False)
        self.parabola, self.sigma = config.parabola, float(config.sigma)

    def forward(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-densities `(B,)` of data smoothed by `sigma`; None is the config's."""
        made: Tensor = self.output(self.features(x)).squeeze(1)
        if self.parabola:
            made = (made - 0.5 * x.flatten(1).square().sum(1)) / (sigma or self.sigma) ** 2
        return made


class ResidualGenerator(nn.Module):
    """Noise of the data's size to z + f(z); f = 0 at first, so that no mode is lost at once."""

    def __init__(self, config: DDEConfig) -> None:
        super().__init__()
        self.shape = config.data_shape
        width, depth = config.generator_hidden_size, config.generator_num_hidden_layers
        self.features = DenseFeatures(config.data_size, width, depth, config.activation)
        self.output = ZeroLinear(self.features.size, config.data_size)

    def forward(self, latents: Tensor) -> Tensor:
        made: Tensor = (latents + self.output(self.features(latents))).unflatten(1, self.shape)
        return made


class ConnectedGenerator(nn.Module):
    """Dense-connected layers from noise `(B, d)`; images by a sigmoid, in [0, 1]."""

    def __init__(self, config: DDEConfig) -> None:
        super().__init__()
        self.shape, self.images = config.data_shape, config.input_shape is None
        width, depth = config.generator_hidden_size, config.generator_num_hidden_layers
        self.features = ConnectedFeatures(config.latent_size, width, depth, config.activation)
        self.output = nn.Linear(self.features.size, config.data_size)

    def forward(self, latents: Tensor) -> Tensor:
        values: Tensor = self.output(self.features(latents)).unflatten(1, self.shape)
        return values.sigmoid() if self.images else values


class ConvolutionalGenerator(nn.Module):
    """Noise to a small feature map, then two 4x4 transposed convolutions of stride 2; a sigmoid.

    For 28 pixels and 128 channels: 100 -> 4096 -> 128 x 7 x 7 -> 64 x 14 x 14 -> C x 28 x 28.
    """

    def __init__(self, config: DDEConfig) -> None:
        super().__init__()
        channels, side = config.generator_hidden_size, config.image_size // 4
        wide, half = 32 * channels, max(1, channels // 2)
        self.map = (channels, side, side)
        self.layers = nn.Sequential(
            nn.Linear(config.latent_size, wide, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.Linear(wide, channels * side * side, bias=False),
            nn.BatchNorm1d(channels * side * side),
            nn.ReLU(),
        )
        self.upsampling = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 4, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.ConvTranspose2d(half, config.num_channels, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        made: Tensor = self.upsampling(self.layers(latents).unflatten(1, self.map))
        return made


GENERATORS = {
    "residual": ResidualGenerator,
    "dense_connected": ConnectedGenerator,
    "convolutional": ConvolutionalGenerator,
}


class ResidualBlock(nn.Module):
    """Activation, 3x3, activation, 3x3, beside a learned 1x1 that is there even in plain blocks.

    Where it halves the image, by the mean of 2x2 pixels, the first convolution keeps the width.
    """

    def __init__(self, fan_in: int, fan_out: int, activation: str, halves: bool) -> None:
        super().__init__()
        between = fan_in if halves else fan_out
        self.activation = ACTIVATIONS[activation]()
        self.first = nn.Conv2d(fan_in, between, 3, padding=1, bias=False)
        self.second = nn.Conv2d(between, fan_out, 3, padding=1)
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1)
        self.halves = halves

    def forward(self, x: Tensor) -> Tensor:
        through = self.second(self.activation(self.first(self.activation(x))))
        if self.halves:
            through, x = functional.avg_pool2d(through, 2), functional.avg_pool2d(x, 2)
        made: Tensor = through + self.shortcut(x)
        return made


class ResidualFeatures(Features):
    """A convolution, then three stages that each halve the image; flattened `(B, size)`."""

    def __init__(self, config: MDSMConfig) -> None:
        super().__init__()
        width, activation = config.hidden_size, config.activation
        self.input = nn.Conv2d(config.num_channels, width, 3, padding=1)
        blocks: list[nn.Module] = []
        for stage in range(3):
            narrow, wide = width * 2**stage, width * 2 ** (stage + 1)
            blocks.append(ResidualBlock(narrow, wide, activation, halves=True))
            blocks += [
                ResidualBlock(wide, wide, activation, halves=False)
                for _ in range(config.blocks_per_stage - 1)
            ]
        self.blocks = nn.Sequential(*blocks)
        self.size = 8 * width * (config.image_size // 8) ** 2

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.blocks(self.input(x)).flatten(1)
        return made


class QuadraticEnergy(nn.Module):
    r"""Energies `(B,)` of features h: :math:`(w_1 h + b_1)(w_2 h + b_2) + w_3 h^2`.

    The constant b3 of the paper is the model's buffer.
    """

    def __init__(self, config: MDSMConfig) -> None:
        super().__init__()
        if config.network == "residual":
            self.features: Features = ResidualFeatures(config)
        else:
            depth, activation = config.num_hidden_layers, config.activation
            self.features = DenseFeatures(config.data_size, config.hidden_size, depth, activation)
        self.first = nn.Linear(self.features.size, 1)
        self.second = nn.Linear(self.features.size, 1)
        self.squares = nn.Linear(self.features.size, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        product = self.first(features) * self.second(features)
        made: Tensor = (product + self.squares(features.square())).squeeze(1)
        return made
