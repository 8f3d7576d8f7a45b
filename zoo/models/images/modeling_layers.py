"""A model that is a list of layers: what a Keras model computes, whatever its architecture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from .configuration_layers import LayersConfig
from .layer_graph import LayerGraph, Weights

IMAGE_AXES = 4  # batch, height, width, channels


@dataclass
class LayersOutput(ModelOutput):
    """What `LayersModel` returns.

    Attributes:
        outputs: in the original's order, each as the original gives it: `(B, ...)`, floats.
    """

    outputs: tuple[Tensor, ...] | None = None


class LayersModel(PreTrainedModel):
    """A graph of layers that computes what the Keras model did that it was converted from.

    `from_pretrained` gives it in evaluation mode, where it computes what the original does in
    inference; `train()` makes dropout, noise and the statistics of batches what they are in the
    original's `fit`, see `LayerGraph`. Parameters of layers that were frozen can be trained.
    """

    config_class = LayersConfig
    base_model_prefix = "model"
    main_input_name = "in0"

    def __init__(self, config: LayersConfig) -> None:
        super().__init__(config)
        self.layers = LayerGraph(
            {key: getattr(config, key) or () for key in ("layers", "nodes", "inputs", "outputs")}
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Weights):
            module.begin()

    def forward(
        self, *inputs: Tensor, return_dict: bool = True, **named: Tensor
    ) -> LayersOutput | tuple[Tensor, ...]:
        """Compute the outputs.

        Args:
            inputs: in the original's order and layout, `(B, ...)`; or as `in0`, `in1` ...
            return_dict: a `LayersOutput`; else its tuple.
            named: inputs by number, or by the name of the original's input layer.

        Raises:
            ValueError: their number or a shape is another.
        """
        config = self.config
        given = [*inputs, *self._named(named, len(inputs))]
        if len(given) != len(config.inputs):
            names = ", ".join(one["name"] for one in config.inputs)
            raise ValueError(
                f"{len(given)} inputs, and the model takes {len(config.inputs)}: {names}"
            )
        values = {}
        for tensor, one in zip(given, config.inputs, strict=True):
            self._check(tensor, one)
            values[one["tensor"]] = self._turn(tensor, -1)
        found = self.layers(values)
        outputs = tuple(self._turn(one, 1) for one in found)
        return LayersOutput(outputs=outputs) if return_dict else outputs

    def encode(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The codes of inputs: what goes into the decoder, else what comes out of the encoder.

        Of a variational model that is the mean: `decode(encode(x))` is what the model makes of x.

        Args:
            inputs: as the model takes them.

        Returns:
            Codes, in the original's layout; a tuple where there are several.

        Raises:
            ValueError: the original has no model in it that is an encoder or a decoder.
        """
        parts, config = self.config.parts or {}, self.config
        own = {one["tensor"] for one in config.inputs}
        if config.decoder is not None and not own >= {*(codes := parts[config.decoder]["inputs"])}:
            return self._compute([one["tensor"] for one in config.inputs], inputs, codes)
        if config.encoder is not None:
            return self.part(config.encoder)(*inputs)
        raise ValueError(self._lacks("encoder"))

    def decode(self, *codes: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What the decoder makes of codes; see `encode`."""
        if self.config.decoder is None:
            raise ValueError(self._lacks("decoder"))
        return self.part(self.config.decoder)(*codes)

    def part(self, name: str) -> Callable[..., Tensor | tuple[Tensor, ...]]:
        """A model in the model, as a function.

        Args:
            name: of `config.parts`.

        Returns:
            From the tensors that go into it to those that come out; a tuple of several.

        Raises:
            ValueError: there is none of that name.
        """
        parts = self.config.parts or {}
        if name not in parts:
            raise ValueError(f"{name!r} is no part of this model; {self._parts()}")
        return lambda *given: self._compute(parts[name]["inputs"], given, parts[name]["outputs"])

    def _compute(
        self, known: Sequence[int], given: Sequence[Tensor], wanted: Sequence[int]
    ) -> Tensor | tuple[Tensor, ...]:
        if len(given) != len(known):
            raise ValueError(f"{len(given)} tensors, and {len(known)} go in")
        values = {one: self._turn(x, -1) for one, x in zip(known, given, strict=True)}
        found = tuple(self._turn(one, 1) for one in self.layers(values, wanted))
        return found if len(found) > 1 else found[0]

    def _lacks(self, half: str) -> str:
        return f"this model has no {half}: the original has no model in it that is one; " + (
            self._parts()
        )

    def _parts(self) -> str:
        names = ", ".join(map(repr, self.config.parts or {}))
        return f"its parts: {names}" if names else "it has no parts"

    def _named(self, named: Mapping[str, Tensor], start: int) -> list[Tensor]:
        """Inputs given by name, in their order."""
        found = []
        for number, one in enumerate(self.config.inputs):
            name = next((key for key in (f"in{number}", one["name"]) if key in named), None)
            if number >= start and name is not None:
                found.append(named[name])
        if len(found) != len(named):
            raise ValueError(f"inputs {', '.join(named)}: not those of the model")
        return found

    def _turn(self, x: Tensor, way: int) -> Tensor:
        """An image to channels last (-1) or back (1), where the outside has them first."""
        if self.config.channels_last or x.ndim < IMAGE_AXES:
            return x
        return x.movedim(-way, way)

    def _check(self, x: Tensor, one: Mapping[str, Any]) -> None:
        """Raise `ValueError` where an input has another shape than the model takes."""
        if one["shape"] is None:
            return
        shape = list(one["shape"])
        if not self.config.channels_last and len(shape) >= IMAGE_AXES:
            shape.insert(1, shape.pop())
        fits = x.ndim == len(shape) and all(
            want is None or size == want for want, size in zip(shape, x.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(
                f"{one['name']} has the shape {tuple(x.shape)}; the model takes ({wanted})"
            )
