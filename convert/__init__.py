"""Legacy checkpoints of Keras and TensorFlow, turned into safetensors without either of them.

    import convert

    report = convert.convert_checkpoint("chinese_L-12_H-768_A-12", "out/bert")
    with convert.open_checkpoint("bert_model.ckpt") as tensors:
        tensors["bert/embeddings/word_embeddings"].numpy()

Importing it needs nothing beyond the standard library: what a reader needs (numpy, h5py) is
imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names that __getattr__ finds
    from convert.converting import Report as Report
    from convert.converting import convert_checkpoint as convert_checkpoint
    from convert.inspection import Inspection as Inspection
    from convert.inspection import check as check
    from convert.readers import Checkpoint as Checkpoint
    from convert.readers import open_checkpoint as open_checkpoint
    from convert.returning import convert_back as convert_back

_HOMES = {
    "Checkpoint": "convert.readers",
    "open_checkpoint": "convert.readers",
    "Inspection": "convert.inspection",
    "Report": "convert.converting",
    "check": "convert.inspection",
    "convert_back": "convert.returning",
    "convert_checkpoint": "convert.converting",
}

__all__ = [
    "Checkpoint",
    "Inspection",
    "Report",
    "check",
    "convert_back",
    "convert_checkpoint",
    "open_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convert' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
