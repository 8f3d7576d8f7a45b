"""genae_t5, small: what the laws of `test_t5.py` and its neighbours share."""

import pytest
import torch

from zoo.models import GenaeT5Config, GenaeT5ForConditionalGeneration

SIZES = {
    "vocab_size": 30,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
}
PLAIN = {"cross_position_bias": False, "dropout_rate": 0.0}
TIED = {"dropout_rate": 0.0}
GATED = {
    "hidden_act": "gelu",
    "is_gated_act": True,
    "tie_word_embeddings": False,
    "dropout_rate": 0.0,
}
KINDS = pytest.mark.parametrize("options", [PLAIN, TIED, GATED], ids=["plain", "tied", "gated"])


def build(kind=GenaeT5ForConditionalGeneration, **options):
    """A model in eval mode whose every weight is random, as if trained."""
    model = kind(GenaeT5Config(**SIZES | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    model.tie_weights()
    return model


def make_inputs():
    """Four padded pairs of ids, as keyword arguments."""
    ids = torch.randint(1, 30, (4, 9))
    ids[2, 6:] = 0
    ids[3, 0] = 0
    decoder = torch.randint(1, 30, (4, 7))
    decoder[:, 0] = 0
    decoder[1, 5:] = 0
    decoder[2, 3] = 0
    return {"input_ids": ids, "decoder_input_ids": decoder}
