"""Encoders and decoders: images to vectors and back."""

import itertools
import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from .configuration_image import AutoencoderConfig
from .layer_networks import layers_decoder, layers_encoder

# The comparison network of the RAE and EAE papers at width 1 (methods: arXiv:1903.12436).
ENCODER_CHANNELS = (128, 256, 512, 1024)
DECODER_CHANNELS = 1024
MIN_DECODED_SIZE = 7  # the decoder starts from the smallest grid of at least this size


class ConvolutionalConfig(Protocol):
    """What the settings of a model with a convolutional encoder have."""

    image_size: int
    num_channels: int
    width_multiplier: float | int


def scaled(channels: int, width_multiplier: float) -> int:
    """Channels times a width multiplier, at least one."""
    return max(1, round(channels * width_multiplier))


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision, which autocast makes, widened before exponentials are taken."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def as_input(network: nn.Module, values: Tensor) -> Tensor:
    """Values of any floating-point type in that of a network's weights, in which it computes."""
    weight = _weight(network)
    return values if weight is None else values.to(weight.dtype)


def apply_network(network: nn.Module, values: Tensor) -> Tensor:
    """The output of a network, at least float32, for values of any floating-point type.

    So a model in bfloat16 reads images in float32, and what is made of its output keeps digits.
    """
    return at_least_float32(network(as_input(network, values)))


def _weight(network: nn.Module) -> nn.Parameter | None:
    """A parameter that is no integer, or None."""
    return next((p for p in network.parameters() if p.is_floating_point()), None)


def check_network(
    subject: str, network: nn.Module, given: tuple[int, ...], *made: tuple[int, ...]
) -> None:
    """Raise `ValueError` unless a network makes what a model's contract says.

    Two examples go through it, in eval mode and without a trace: neither statistics of batches nor
    the state of random numbers change. On the meta device nothing is computed.

    Args:
        subject: how a message begins: what it comes from, and what that must be.
        network: what it made.
        given: shape of one input, without the batch; values are 0.5.
        made: shapes that one output may have, likewise; the first is the one that it should.

    Raises:
        ValueError: it is no module, fails on the input, or makes another shape or no floats.
    """
    said = f"{subject} that makes {_batch(made[0])} of {_batch(given)}"
    if not isinstance(network, nn.Module):
        raise ValueError(f"{said}; it returned {type(network).__name__}")
    weight = _weight(network)
    device = None if weight is None else weight.device
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = network(as_input(network, torch.full((2, *given), 0.5, device=device)))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{said}; its module fails: {error}") from error
    finally:
        for module, training in modes:
            module.training = training
    if not (isinstance(output, Tensor) and output.is_floating_point()):
        kind = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"{said}, in floats; it makes {kind}")
    if tuple(output.shape) not in {(2, *shape) for shape in made}:
        raise ValueError(f"{said}; of a batch of 2 it makes {tuple(output.shape)}")


def _batch(shape: tuple[int, ...]) -> str:
    """The shape of a batch in words."""
    return f"({', '.join(('batch', *map(str, shape)))})"


def normalized(convolution: nn.Module, channels: int) -> tuple[nn.Module, ...]:
    """The convolution, then batch norm and ReLU."""
    return convolution, nn.BatchNorm2d(channels), nn.ReLU()


class ConvEncoder(nn.Module):
    """Strided 4x4 convolutions, each with batch norm and ReLU, then one linear layer.

    Images of shape `(B, C, H, W)` in [0, 1], taken to [-1, 1], become `(B, num_outputs)`.
    """

    def __init__(self, config: ConvolutionalConfig, num_outputs: int) -> None:
        super().__init__()
        size, channels = config.image_size, config.num_channels
        layers: list[nn.Module] = []
        for width in ENCODER_CHANNELS:
            if size < 2:  # small images allow fewer than four
                break
            width = scaled(width, config.width_multiplier)
            layers += normalized(nn.Conv2d(channels, width, 4, 2, 1, bias=False), width)
            size, channels = size // 2, width
        self.convolutions = nn.Sequential(*layers)
        self.output = nn.Linear(channels * size * size, num_outputs)

    def forward(self, pixel_values: Tensor) -> Tensor:
        # Channels-last activations make the convolutions up to twice as fast on a CPU.
        features = self.convolutions(
            (2 * pixel_values - 1).contiguous(memory_format=torch.channels_last)
        )
        vectors: Tensor = self.output(features.flatten(1))
        return vectors


class Upsampling(nn.ConvTranspose2d):
    """A transposed convolution that a CPU computes as one matrix product if it has many inputs.

    The same sums as `nn.ConvTranspose2d`: from 256 input channels on, up to five times as fast
    as the library's, which reads the weights anew at every pixel. Without a graph only, where the
    memory of the product is given back at once; square kernels, neither groups nor dilation.
    """

    wide = 256  # input channels from which the product pays

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if (
            output_size is not None
            or self.in_channels < self.wide
            or torch.is_grad_enabled()
            or input.device.type != "cpu"
            or torch.compiler.is_compiling()  # a graph names the operation, its reader knows how
        ):
            return super().forward(input, output_size)
        count, channels, height, width = input.shape
        size, stride = self.kernel_size[0], self.stride[0]
        weight = self.weight.permute(0, 2, 3, 1).reshape(channels, -1)
        parts = input.permute(0, 2, 3, 1).reshape(-1, channels) @ weight
        parts = parts.view(count, height, width, size, size, self.out_channels)
        extra = self.output_padding[0]
        tall, broad = ((side - 1) * stride + 1 for side in (height, width))
        whole = input.new_zeros(
            count, tall + size - 1 + extra, broad + size - 1 + extra, self.out_channels
        )
        for row, column in itertools.product(range(size), repeat=2):
            place = whole[:, row : row + tall : stride, column : column + broad : stride]
            place += parts[:, :, :, row, column]
        cut = int(self.padding[0])
        whole = whole[:, cut : whole.shape[1] - cut, cut : whole.shape[2] - cut]
        if self.bias is not None:
            whole = whole + self.bias
        return whole.permute(0, 3, 1, 2)


class ConvDecoder(nn.Module):
    """A linear layer to a small grid, then 4x4 transposed convolutions that each double it.

    Codes of shape `(B, d)` become `(B, num_outputs, H, W)`, the likelihood's parameters; d is the
    config's latent_size unless another is given.
    """

    def __init__(
        self, config: AutoencoderConfig, num_outputs: int, latent_size: int | None = None
    ) -> None:
        super().__init__()
        width_multiplier = config.decoder_width_multiplier or config.width_multiplier
        doublings = 0
        while (
            config.image_size % 2 ** (doublings + 1) == 0
            and config.image_size // 2 ** (doublings + 1) >= MIN_DECODED_SIZE
        ):
            doublings += 1
        self.grid = config.image_size // 2**doublings
        channels = self.channels = scaled(DECODER_CHANNELS, width_multiplier)
        self.input = nn.Linear(
            latent_size or config.latent_size, channels * self.grid**2, bias=False
        )
        layers: list[nn.Module] = [nn.BatchNorm2d(channels), nn.ReLU()]
        for doubling in range(1, doublings + 1):
            width = scaled(DECODER_CHANNELS // 2**doubling, width_multiplier)
            layers += normalized(Upsampling(channels, width, 4, 2, 1, bias=False), width)
            channels = width
        self.convolutions = nn.Sequential(*layers, nn.Conv2d(channels, num_outputs, 3, padding=1))

    def forward(self, latents: Tensor) -> Tensor:
        grid = self.input(latents).unflatten(1, (self.channels, self.grid, self.grid))
        params: Tensor = self.convolutions(grid.contiguous(memory_format=torch.channels_last))
        return params.contiguous()


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def perceptron(sizes: list[int], activation: str = "relu") -> nn.Sequential:
    """Linear layers of the given sizes with an activation between them."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class DenseEncoder(nn.Module):
    """Images `(B, C, H, W)` in [0, 1] to `(B, num_outputs)` by linear layers."""

    def __init__(self, config: AutoencoderConfig, num_outputs: int) -> None:
        super().__init__()
        pixels = config.num_channels * config.image_size**2
        self.layers = perceptron([pixels, *config.hidden_sizes, num_outputs], config.activation)

    def forward(self, pixel_values: Tensor) -> Tensor:
        vectors: Tensor = self.layers(2 * pixel_values.flatten(1) - 1)
        return vectors


class DenseDecoder(nn.Module):
    """Codes `(B, d)` to the likelihood's parameters `(B, num_outputs, H, W)`."""

    def __init__(
        self, config: AutoencoderConfig, num_outputs: int, latent_size: int | None = None
    ) -> None:
        super().__init__()
        self.shape = (num_outputs, config.image_size, config.image_size)
        latent_size = latent_size or config.latent_size
        sizes = [latent_size, *reversed(config.hidden_sizes), math.prod(self.shape)]
        self.layers = perceptron(sizes, config.activation)

    def forward(self, latents: Tensor) -> Tensor:
        params: Tensor = self.layers(latents).unflatten(1, self.shape)
        return params


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "convolutional": ConvEncoder,
    "dense": DenseEncoder,
    "layers": layers_encoder,
}
DECODERS: dict[str, Callable[..., nn.Module]] = {
    "convolutional": ConvDecoder,
    "dense": DenseDecoder,
    "layers": layers_decoder,
}
