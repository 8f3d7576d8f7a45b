"""A recorded model's TensorFlow checkpoint with other tensors beside or in place of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import convert
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY

Arrays = dict[str, np.ndarray]


def arrays_of(name: str) -> Arrays:
    """Every tensor of a fixture's checkpoint."""
    with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt.index") as found:
        return {key: tensor.numpy() for key, tensor in found.items()}


def rewritten(
    name: str,
    folder: Path,
    change: Callable[[Arrays], Arrays] = dict,
    config: Mapping[str, Any] | None = None,
    **more: Any,
) -> Path:
    """A checkpoint in a folder with the fixture's configuration and vocabulary.

    Args:
        name: of the fixture.
        folder: where to.
        change: gives the tensors to write.
        config: entries of the configuration to add.
        **more: as `write_bundle` takes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_bundle(folder, change(arrays_of(name)), **more)
    table = json.loads((LEGACY / name / "bert_config.json").read_text("utf-8"))
    (folder / "bert_config.json").write_text(json.dumps(table | dict(config or {})), "utf-8")
    if (LEGACY / name / "vocab.txt").is_file():
        shutil.copy(LEGACY / name / "vocab.txt", folder)
    return folder


def weights_of(folder: Path) -> Arrays:
    """The weights that a conversion wrote."""
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")
