"""Low-rank adapters (LoRA, arXiv:2106.09685) by peft, trained in place of a model's weights."""

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

from zoo.errors import MissingDependencyError, UsageError

from .rules import Entry, Rule

#: Where adapters go if a card names no layers: every linear one but the output's.
EVERYWHERE = "all-linear"


def add_adapters(model: Any, settings: Mapping[str, Any], *, head: bool) -> None:
    """Put adapters into a model, which stays of its class, and freeze its weights.

    Args:
        model: changed in place.
        settings: `rank`, and maybe `alpha`, `dropout` and `target_modules`, of a card.
        head: leave what lies above the backbone as it is and train it, as a classifier's must be.

    Raises:
        UsageError: the model has no such layers, or they share weights with others.
        MissingDependencyError: peft is not installed.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise MissingDependencyError(
            'adapters need peft, which is not installed: pip install "genae[lora]"'
        ) from error
    above = [
        parameter
        for name, parameter in model.named_parameters()
        if not name.startswith(f"{model.base_model_prefix}.")
    ]
    config = LoraConfig(
        task_type="SEQ_CLS" if head else None,  # what keeps adapters out of such a head
        r=settings["rank"],
        lora_alpha=settings.get("alpha", settings["rank"]),
        lora_dropout=settings.get("dropout", 0.0),
        target_modules=settings.get("target_modules", EVERYWHERE),
    )
    try:
        LoraModel(model, {"default": config}, "default")
    except ValueError as error:
        raise UsageError(f"lora: {' '.join(str(error).split())}") from error
    if tied := _tied(model):
        raise UsageError(
            f"lora: {', '.join(tied)} shares its weights with another layer, which an adapter "
            "would not change until it is merged; leave it out of target_modules, or set "
            "tie_word_embeddings = false in [config]"
        )
    for parameter in above if head else ():
        parameter.requires_grad_()


def _tied(model: Any) -> list[str]:
    """The layers with adapters whose weights other layers have as well."""
    from peft.tuners.lora import LoraLayer

    owners = Counter(id(own) for module in model.modules() for own in module.parameters(False))
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, LoraLayer) and owners[id(layer.get_base_layer().weight)] > 1
    ]


def merged(model: Any) -> Any:
    """A copy of a model with its adapters added to its weights: loading it needs no peft."""
    from peft.tuners.lora import LoraLayer

    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            place, _, last = name.rpartition(".")
            setattr(model.get_submodule(place), last, layer.get_base_layer())
    vars(model).pop("peft_config", None)
    return model


def is_frozen(entry: Entry) -> bool:
    """Whether a parameter is not trained already."""
    return not entry.parameter.requires_grad


#: Rule of rates for what is not trained beside adapters.
FROZEN = Rule(where=is_frozen, freeze=True)
