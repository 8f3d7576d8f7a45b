"""Small Synthesizers for tests, of every form and several mixtures."""

import pytest
import torch

from zoo import SynthesizerConfig, SynthesizerModel
from zoo.models.text.attention_synthesizer import SynthesizedAttention
from zoo.models.text.configuration_synthesizer import FORMS

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "factors": 3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
MIXED = (
    "random+dot_product",
    "dense+dot_product",
    "random+dense",
    "fixed_random+factorized_dense+dot_product",
    "factorized_random+random",
)
EVERY = pytest.mark.parametrize("attention", [*FORMS, *MIXED])


def build(kind=SynthesizerModel, attention="random", **options):
    """In eval mode, with every parameter random, as if trained."""
    model = kind(SynthesizerConfig(**SIZES | {"attention": attention} | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    model.tie_weights()
    return model


def attentions(model):
    """The self-attention of every layer."""
    return [m for m in model.modules() if isinstance(m, SynthesizedAttention)]
