"""Every text model, small: what the laws of `test_text.py` and `test_text_use.py` share."""

import pytest
import torch

import zoo.models
from zoo import catalog

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}
#: What a family cannot have otherwise.
OWN = {
    "genae_gau_alpha": {"num_attention_heads": 1, "attention_key_size": 6},
    "genae_albert": {"embedding_size": 8},
    "genae_nezha": {"max_relative_position": 3},
}
MODELS = [
    (catalog.load(entry.config), getattr(zoo.models, name), auto)
    for entry in catalog.TEXTS
    if entry.own and entry.name != "genae_t5"  # two stacks: test_t5.py
    for name, auto in catalog.heads(entry).items()
]
NAMES = [model.__name__ for _, model, _ in MODELS]
#: Heads that read what the pooler makes, or hand it on.
POOLED = ("NextSentence", "PreTraining", "SequenceClassification", "Model")
WITHOUT_POOLER = ("Electra", "RoFormerV2", "GAU", "GPT")
every_model = pytest.mark.parametrize(("config", "kind", "auto"), MODELS, ids=NAMES)
causal = [item for item in MODELS if item[2] == "AutoModelForCausalLM"]


def build(config, kind, **options):
    """In eval mode, with every weight random, as if trained."""
    name = kind.__name__
    pooler = any(word in name for word in POOLED)
    pooler = pooler and not any(word in name for word in WITHOUT_POOLER)
    sizes = SIZES | OWN.get(config.model_type, {}) | {"pooler": pooler}
    if "CausalLM" in name and "GPT" not in name:
        sizes["attention_mask_kind"] = "causal"
    model = kind(config(**sizes | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.tie_weights()
    return model


def first(output):
    """The output's main tensor: scores, or hidden states."""
    for name in ("logits", "prediction_logits", "last_hidden_state"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    raise AssertionError(output)


def some_ids():
    """Three texts; the second ends in padding."""
    made = torch.randint(1, 30, (3, 8))
    made[1, 6:] = 0
    return made
