"""The islands: every architecture, free of the rest of genae.

Importing it registers them all with transformers' Auto classes, and lets their `from_pretrained`
find models through the registry.
"""

import importlib
from typing import Any

import transformers
from transformers.models.auto.tokenization_auto import REGISTERED_TOKENIZER_CLASSES

from zoo import catalog
from zoo.registry import resolve
from zoo.registry.loading import check_class, refuse_unchecked

from . import seam
from .images.image_processing_genae import GenaeImageProcessor
from .text.tokenization_genae import GenaeWordTokenizer

#: Every class by its name: models with all their heads, configurations, processor and tokenizer.
CLASSES: dict[str, Any] = {
    kind.__name__: kind for kind in (GenaeImageProcessor, GenaeWordTokenizer)
}

for _row in catalog.ARCHITECTURES.values():
    if not _row.own_module:
        continue
    _config = catalog.load(_row.config)
    if _row.own:
        CLASSES[_config.__name__] = _config
        transformers.AutoConfig.register(_row.model_type, _config, exist_ok=True)
    if _row.processor:
        transformers.AutoImageProcessor.register(
            _config, image_processor_classes={"pil": catalog.load(_row.processor)}, exist_ok=True
        )
    _found: dict[str, list[Any]] = {}  # by Auto class
    for _name, _auto in catalog.heads(_row).items():
        CLASSES[_name] = getattr(importlib.import_module(_row.own_module), _name)
        _found.setdefault(_auto, []).append(CLASSES[_name])
    if not _row.own:
        continue  # transformers' Auto classes find its own models of its own configurations
    for _auto, _models in _found.items():
        # Of several classes an Auto class takes the one that config.json names, else the first.
        getattr(transformers, _auto).register(
            _config, _models[0] if len(_models) == 1 else tuple(_models), exist_ok=True
        )

# AutoTokenizer finds it by the name in tokenizer_config.json; a configuration of its own, which
# `AutoTokenizer.register` asks for, it has none. Saving it writes its module beside the files.
REGISTERED_TOKENIZER_CLASSES[GenaeWordTokenizer.__name__] = GenaeWordTokenizer
GenaeWordTokenizer.register_for_auto_class()

seam.install(CLASSES.values(), resolve, check_class)
seam.publish_by(CLASSES.values(), refuse_unchecked)

globals().update(CLASSES)
__all__ = sorted(CLASSES)


def __getattr__(name: str) -> Any:
    """Nothing more than `CLASSES`; that names are added by a loop, type checkers read here."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
