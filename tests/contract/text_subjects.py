"""Every head of every text model on the island, small: what the laws of texts are about.

Models of two stacks have laws of their own, in tests/models/test_t5.py.
"""

import pytest
import torch

import zoo.models
from tests.contract.subjects import first
from tests.tiny import TINY
from zoo import catalog
from zoo.models.text.heads_fine_tuning import FineTuned

__all__ = [
    "BACKBONES",
    "CALLED",
    "CAUSAL",
    "MODELS",
    "build",
    "every",
    "first",
    "of_head",
    "some_ids",
]

#: Configuration, model class, name of the Auto class that finds it; those with heads of
#: fine-tuning are in test_text_heads.py.
MODELS = [
    (config, kind, auto)
    for entry in catalog.TEXTS
    if entry.own and not (config := catalog.load(entry.config)).is_encoder_decoder
    for name, auto in catalog.heads(entry).items()
    if auto != "AutoModelForSeq2SeqLM"
    and not issubclass(kind := getattr(zoo.models, name), FineTuned)
]
CAUSAL = [item for item in MODELS if item[2] == "AutoModelForCausalLM"]
BACKBONES = [item for item in MODELS if item[2] == "AutoModel"]
#: Heads that read what the pooler makes, or hand it on.
POOLED = ("NextSentence", "PreTraining", "SequenceClassification", "Model")


def head_of(config, kind):
    """What a head shares with those of other families: the class that it is, its trait."""
    shared = (base for base in kind.__mro__ if ".heads_" in base.__module__)
    return next(shared, kind), config.head_kind


#: One for each way to be called: every backbone, and each head once, whatever the family.
CALLED = BACKBONES + list(
    {head_of(*item[:2]): item for item in reversed(MODELS) if item not in BACKBONES}.values()
)


def every(items):
    """A law of `(config, kind, auto)`, for every one."""
    names = [kind.__name__ for _, kind, _ in items]
    return pytest.mark.parametrize(("config", "kind", "auto"), items, ids=names)


def of_head(word, items=MODELS):
    """A law of those of all models that an Auto class finds."""
    return every([item for item in items if item[2] == f"AutoModelFor{word}"])


def build(config, kind, **options):
    """In eval mode, with every weight random, as if trained."""
    name = kind.__name__
    row = catalog.find_config(config.model_type)
    sizes = next(iter(TINY[row.name].values()))
    made = {"pooler": config.pooler and any(word in name for word in POOLED)}
    if "CausalLM" in name and config.attention_mask_kind == "full":
        made["attention_mask_kind"] = "causal"
    model = kind(config(**sizes | made | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.tie_weights()
    return model


def some_ids():
    """Three texts; the second ends in padding."""
    made = torch.randint(1, 30, (3, 8))
    made[1, 6:] = 0
    return made
