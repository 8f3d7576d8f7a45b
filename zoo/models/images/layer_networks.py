"""Encoders and decoders that are graphs of layers, as converted ones are."""

import torch
from torch import Tensor, nn

from .configuration_image import AutoencoderConfig
from .layer_graph import LayerGraph


class Missing(nn.Module):
    """The part that a model of one part lacks; whoever asks for it is told so."""

    def __init__(self, part: str, other: str) -> None:
        super().__init__()
        self.reason = f"this model has no {part}: it was made of the {other} alone"

    def forward(self, values: Tensor) -> Tensor:
        raise ValueError(self.reason)


class LayersEncoder(nn.Module):
    """Images `(B, C, H, W)` in [0, 1] to `(B, num_outputs)` by a graph of layers.

    The graph reads them in `pixel_range`, channels last, or flat if its input is. Several outputs
    of it come one behind the other: a Gaussian's means, then what tells its variances.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        table = config.encoder_layers or {}
        (self.input,) = table["inputs"]
        self.low, self.high = config.pixel_range
        self.layers = LayerGraph(table, batch_statistics=True)

    def forward(self, pixel_values: Tensor) -> Tensor:
        values = self.low + (self.high - self.low) * pixel_values
        values = values.movedim(1, -1)
        if len(self.input["shape"]) == 2:
            values = values.flatten(1)
        outputs = self.layers({self.input["tensor"]: values})
        return torch.cat([output.flatten(1) for output in outputs], 1)


class LayersDecoder(nn.Module):
    """Codes `(B, d)` to the likelihood's parameters `(B, num_outputs, H, W)` by a graph of layers.

    Its output is the original's without the last activation, channels last or flat: the logits
    of a sigmoid; half of them of a hyperbolic tangent; of a linear output values of `pixel_range`.
    """

    def __init__(self, config: AutoencoderConfig, num_outputs: int) -> None:
        super().__init__()
        table = config.decoder_layers or {}
        (self.input,) = table["inputs"]
        self.shape = (config.image_size, config.image_size, num_outputs)
        self.activation = config.output_activation
        self.low, self.high = config.pixel_range
        self.layers = LayerGraph(table, batch_statistics=True)

    def forward(self, latents: Tensor) -> Tensor:
        values = latents.reshape(len(latents), *self.input["shape"][1:])
        (output,) = self.layers({self.input["tensor"]: values})
        params: Tensor = output.reshape(len(latents), *self.shape).movedim(-1, 1)
        if self.activation == "tanh":  # (1 + tanh y) / 2 is the sigmoid of 2 y
            return 2 * params
        if self.activation == "linear":
            return (params - self.low) / (self.high - self.low)
        return params


def layers_encoder(config: AutoencoderConfig, num_outputs: int) -> nn.Module:
    """The encoder of a configuration, or what stands in for a missing one."""
    if config.encoder_layers is None:
        return Missing("encoder", "decoder")
    return LayersEncoder(config)


def layers_decoder(config: AutoencoderConfig, num_outputs: int) -> nn.Module:
    """The decoder of a configuration, or what stands in for a missing one."""
    if config.decoder_layers is None:
        return Missing("decoder", "encoder")
    return LayersDecoder(config, num_outputs)
