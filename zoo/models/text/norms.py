"""Normalisations of text models: with parameters, which a condition may move, and without."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .activations import activation
from .configuration_text import TextConfig


@dataclass(frozen=True)
class Condition:
    """What a conditional normalisation reads, as `TextConfig` says it for a whole model.

    Attributes:
        condition_size: width of the condition; None for none.
        condition_hidden_size: width of a dense map before it; None for no such map.
        condition_hidden_act: activation of that map; None is linear.
    """

    condition_size: int | None
    condition_hidden_size: int | None = None
    condition_hidden_act: str | None = None


class ConditionalLayerNorm(nn.LayerNorm):
    """Layer normalisation whose scale and offset may move with a condition.

    The dense maps of the condition start at zero, so that a fresh one is the plain normalisation.
    Reads and makes `(..., size)`; the condition is `(batch, condition_size)`, or has the axes of
    the values in between.

    Sources: layer normalisation, arXiv:1607.06450; the condition, `LayerNormalization` of
    bert4keras 0.11.5.

    Args:
        size: width of what is normalised.
        config: says whether there is a condition, and how wide it is.
        eps: added to the variance inside the square root.

    Raises:
        ValueError: when called without the condition that it needs.
    """

    def __init__(self, size: int, config: TextConfig | Condition, eps: float) -> None:
        super().__init__(size, eps=eps)
        width = config.condition_size
        self.conditional = width is not None
        self.condition_hidden: nn.Linear | None = None
        if width is None:
            return
        if config.condition_hidden_size is not None:
            self.condition_hidden = nn.Linear(width, config.condition_hidden_size, bias=False)
            self.act = activation(config.condition_hidden_act)
            width = config.condition_hidden_size
        self.condition_bias = nn.Linear(width, size, bias=False)
        self.condition_weight = nn.Linear(width, size, bias=False)

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        if not self.conditional:
            return super().forward(values)
        if condition is None:
            raise ValueError(
                "this model's layer normalisation is conditional: give `condition`, of shape "
                f"(batch, {(self.condition_hidden or self.condition_weight).in_features})"
            )
        if self.condition_hidden is not None:
            condition = self.act(self.condition_hidden(condition))
        while condition.ndim < values.ndim:
            condition = condition[:, None]
        plain: Tensor = nn.functional.layer_norm(values, self.normalized_shape, eps=self.eps)
        scale = self.weight + self.condition_weight(condition)
        moved: Tensor = plain * scale + self.bias + self.condition_bias(condition)
        return moved


class PlainRMSNorm(nn.Module):
    """Division by the root of the mean square (arXiv:1910.07467), without parameters.

    Reads and makes `(..., size)`; there is no condition to it. Arguments as of
    `ConditionalLayerNorm`.
    """

    def __init__(self, size: int, config: TextConfig, eps: float) -> None:
        super().__init__()
        self.size, self.eps = size, eps

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        return nn.functional.rms_norm(values, (self.size,), eps=self.eps)


class ScaledRMSNorm(PlainRMSNorm):
    """The same with a scale for each feature, as T5 has it (arXiv:1910.10683, section 2.1)."""

    def __init__(self, size: int, config: TextConfig, eps: float) -> None:
        super().__init__(size, config, eps)
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(values) * self.weight


Norm = ConditionalLayerNorm | PlainRMSNorm
NORMS: dict[str, type[ConditionalLayerNorm] | type[PlainRMSNorm]] = {
    "layer": ConditionalLayerNorm,
    "rms": PlainRMSNorm,
    "scaled_rms": ScaledRMSNorm,
}


def make_norm(size: int, config: TextConfig, eps: float | None = None) -> Norm:
    """The family's normalisation.

    Args:
        size: width of what is normalised.
        config: says the kind.
        eps: other than that of the blocks; None is theirs.
    """
    return NORMS[config.norm_kind](size, config, config.layer_norm_eps if eps is None else eps)
