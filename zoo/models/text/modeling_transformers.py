"""Heads of fine-tuning on backbones that transformers has."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import transformers
from torch import nn

from .heads_fine_tuning import fine_tuned


def _of_blocks(model: Any) -> nn.Module:
    norm: nn.Module = model.encoder.layer[-1].output.LayerNorm
    return norm


def _of_groups(model: Any) -> nn.Module:
    norm: nn.Module = model.encoder.albert_layer_groups[-1].albert_layers[-1].full_layer_layer_norm
    return norm


#: What the names of an architecture's classes begin with; what finds its last normalisation.
BACKBONES: dict[str, Callable[[Any], nn.Module]] = {
    "Bert": _of_blocks,
    "Albert": _of_groups,
    "Electra": _of_blocks,
    "RoFormer": _of_blocks,
    "FNet": _of_blocks,
    "GPT2": attrgetter("ln_f"),
}

for _stem, _last_norm in BACKBONES.items():
    _base, _model = (
        getattr(transformers, f"{_stem}{kind}") for kind in ("PreTrainedModel", "Model")
    )
    globals().update(fine_tuned(_stem, __name__, _base, _model, _last_norm))
