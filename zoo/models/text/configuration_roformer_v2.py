"""Configuration of RoFormerV2: rotary positions, no biases, normalisation without parameters."""

from typing import ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeRoFormerV2Config(TextConfig):
    """Sizes and options of `GenaeRoFormerV2Model`; see `TextConfig`.

    Source: the RoFormerV2 release of ZhuiyiTechnology (2022).
    """

    model_type = "genae_roformer_v2"
    position_kind: ClassVar[str] = "rotary"
    norm_kind: ClassVar[str] = "rms"
    head_kind: ClassVar[str] = "tied"
    use_bias: ClassVar[bool] = False

    layer_norm_eps: float = 1e-7
    pooler: bool = False
