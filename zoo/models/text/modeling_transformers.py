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


#: What files of an encoder and a decoder have besides the encoder.
DECODER = (r"^decoder\.", r"^lm_head\.")
#: What the names of an architecture's classes begin with, how that of its backbone ends; what
#: finds the last normalisation of that.
BACKBONES: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "Bert": ("Model", _of_blocks),
    "Albert": ("Model", _of_groups),
    "Electra": ("Model", _of_blocks),
    "RoFormer": ("Model", _of_blocks),
    "FNet": ("Model", _of_blocks),
    "GPT2": ("Model", attrgetter("ln_f")),
    "T5": ("EncoderModel", attrgetter("encoder.final_layer_norm")),
    "MT5": ("EncoderModel", attrgetter("encoder.final_layer_norm")),
}

for _stem, (_ending, _last_norm) in BACKBONES.items():
    _base, _model = (
        getattr(transformers, f"{_stem}{kind}") for kind in ("PreTrainedModel", _ending)
    )
    _left_out = DECODER if _ending == "EncoderModel" else ()
    globals().update(fine_tuned(_stem, __name__, _base, _model, _last_norm, left_out=_left_out))
