"""Settings that both energy models share."""

import math

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_image import ImageConfig

SMOOTH_ACTIVATIONS = ("softplus", "tanh", "silu", "elu")


@strict
class EnergyConfig(ImageConfig):
    """A density over images or plain vectors, and the chains that draw from it.

    Attributes:
        input_shape: of one vector, such as `[2]`; None means images, whose shape `num_channels`
            and `image_size` give.
        activation: of the networks, twice differentiable, since the loss differentiates a
            gradient: `softplus`, `tanh`, `silu` or `elu`.
        start_mean: of the Gaussian from which chains start and importance sampling draws.
        start_scale: its standard deviation.
        step_size: epsilon of the Langevin chains, in the data's unit.
        max_temperature: where chains begin; at temperature T a well of width s is sqrt(T) s wide.
        hold_steps: steps at the max temperature.
        anneal_steps: steps from there to temperature 1, geometric.
        cool_steps: steps from temperature 1 to 0, linear.
    """

    input_shape: tuple[int, ...] | list[int] | None = None
    activation: str = "softplus"
    start_mean: float | int = 0.5
    start_scale: float | int = 1.0
    step_size: float | int = 0.02
    max_temperature: float | int = 100.0
    hold_steps: int = 500
    anneal_steps: int = 2000
    cool_steps: int = 200

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one image `(C, H, W)`, or of one vector `(d,)`."""
        if self.input_shape is not None:
            return tuple(self.input_shape)
        # Not super()'s, which torch.compile cannot read.
        return (self.num_channels, self.image_size, self.image_size)

    @property
    def data_size(self) -> int:
        """Numbers in one image or vector."""
        return math.prod(self.data_shape)

    def validate_energy(self) -> None:
        """Check shape, names and the schedule."""
        one_of("activation", self.activation, SMOOTH_ACTIVATIONS)
        if self.input_shape is not None and len(self.input_shape) != 1:
            raise ValueError(
                f"input_shape must be one number, the size of a vector, got {self.input_shape}; "
                "images are described by num_channels and image_size"
            )
        for size in self.input_shape or ():
            at_least("input_shape", size, 1)
        for field in ("hold_steps", "anneal_steps", "cool_steps"):
            at_least(field, getattr(self, field), 0)
        at_least("max_temperature", self.max_temperature, 1)
        for field in ("start_scale", "step_size"):
            positive(field, getattr(self, field))
        if not math.isfinite(self.start_mean):
            raise ValueError(f"start_mean must be finite, got {self.start_mean}")


def positive(field: str, value: float) -> None:
    """Raise `ValueError` naming field and value, unless value is positive and finite."""
    if not 0 < value < math.inf:
        raise ValueError(f"{field} must be positive and finite, got {value}")
