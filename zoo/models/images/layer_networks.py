"""Encoders and decoders that are graphs of layers, as converted ones are."""

from collections.abc import Mapping, Sequence
from typing import Any

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


class ImageGraph(nn.Module):
    """A graph of layers that reads images in the original's range and layout.

    Args:
        table: of the graph; its input is channels last, or flat.
        pixel_range: what black and white are there.
    """

    def __init__(self, table: Mapping[str, Any], pixel_range: Sequence[float]) -> None:
        super().__init__()
        (self.input,) = table["inputs"]
        self.low, self.high = pixel_range
        self.layers = LayerGraph(table)

    def outputs(self, pixel_values: Tensor) -> list[Tensor]:
        """What the graph makes of images `(B, C, H, W)` in [0, 1], as the original has it."""
        values = self.low + (self.high - self.low) * pixel_values
        values = values.movedim(1, -1)
        if len(self.input["shape"]) == 2:
            values = values.flatten(1)
        outputs: list[Tensor] = self.layers({self.input["tensor"]: values})
        return outputs

    @classmethod
    def shapes(cls, table: Mapping[str, Any], image: Sequence[int]) -> list[torch.Size]:
        """Shapes of the outputs for one image `(C, H, W)`, found without computing values.

        Raises:
            ValueError: the graph does not take such images.
        """
        with torch.device("meta"):
            graph = ImageGraph(table, (0.0, 1.0))
            try:
                return [output.shape for output in graph.outputs(torch.empty(1, *image))]
            except (RuntimeError, IndexError) as error:
                raise ValueError(
                    f"encoder_layers must be a graph that reads images {tuple(image)}: {error}"
                ) from error


class LayersEncoder(ImageGraph):
    """Images `(B, C, H, W)` in [0, 1] to `(B, num_outputs)` by a graph of layers.

    The graph reads them in `pixel_range`, channels last, or flat if its input is. Several outputs
    of it come one behind the other: a Gaussian's means, then what tells its variances.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config.encoder_layers or {}, config.pixel_range)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return torch.cat([output.flatten(1) for output in self.outputs(pixel_values)], 1)


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
        self.layers = LayerGraph(table)

    def forward(self, latents: Tensor) -> Tensor:
        values = latents.reshape(latents.shape[0], *self.input["shape"][1:])
        (output,) = self.layers({self.input["tensor"]: values})
        params: Tensor = output.reshape(latents.shape[0], *self.shape).movedim(-1, 1)
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
