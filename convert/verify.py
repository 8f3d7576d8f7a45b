"""Outputs of a converted model beside those the original software recorded.

The only bridge from `convert` to torch, transformers and, for classes of ours, `zoo`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, ToleranceError, UsageError

TOLERANCE = (
    1e-4  # of the largest magnitude, at least of 1: ten times what two TensorFlows differ by
)

#: Recorded inputs -> arguments of the model.
INPUTS = {
    "in_token_ids": "input_ids",
    "in_segment_ids": "token_type_ids",
    "in_position_ids": "position_ids",
    "in_condition": "condition",
    "out_mask": "attention_mask",
}


@dataclass(frozen=True)
class Parity:
    """One output beside its record.

    Attributes:
        name: of the recorded array, with the precision it was computed in.
        max_absolute: largest absolute difference.
        max_relative: the same over the largest recorded magnitude.
        tolerance: what `max_absolute` may be.
    """

    name: str
    max_absolute: float
    max_relative: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether it is inside the tolerance; a NaN is not."""
        return self.max_absolute <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ok": self.ok}


def require(parity: list[Parity]) -> None:
    """Raise `ToleranceError` naming every output that is off."""
    off = [
        f"{p.name} by {p.max_absolute:.2e} (allowed {p.tolerance:.2e})" for p in parity if not p.ok
    ]
    if off:
        raise ToleranceError(
            f"the result differs from the recorded outputs: {'; '.join(off)}. Were the model's "
            "options given (--option KEY=VALUE)?"
        )


def compare(folder: str | os.PathLike[str], reference: str | os.PathLike[str]) -> list[Parity]:
    """Run recorded inputs through a converted model.

    Args:
        folder: the model.
        reference: a `.npz`: inputs `in_*`, the mask `out_mask`, outputs `out_*` (float32), and
            perhaps `out64_*` (float64), which the model then meets in float64.

    Returns:
        One comparison per recorded output, in the order of the file.

    Raises:
        IntegrityError: the file is no such archive.
        UsageError: it holds no input, or an output that the model does not have.
    """
    import numpy as np
    import torch

    try:
        with np.load(Path(reference), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"{reference}: not an archive of arrays ({error})") from None
    given = {
        argument: torch.from_numpy(arrays[name].astype(_kind(arrays[name])))
        for name, argument in INPUTS.items()
        if name in arrays
    }
    if "input_ids" not in given:
        raise UsageError(f"{reference}: holds no in_token_ids; it has {', '.join(arrays)}")
    found: list[Parity] = []
    for prefix, dtype in (("out_", torch.float32), ("out64_", torch.float64)):
        wanted = {
            name: array
            for name, array in arrays.items()
            if name.startswith(prefix) and name not in INPUTS
        }
        if not wanted:
            continue
        ours = outputs(folder, given, dtype)
        for name, array in wanted.items():
            key = name.removeprefix(prefix)
            if key not in ours:
                raise UsageError(
                    f"{reference}: {name} is an output this model does not have; it has "
                    f"{', '.join(ours)}"
                )
            found.append(_parity(name, ours[key], array))
    return found


def _kind(array: Any) -> str:
    return "int64" if array.dtype.kind in "iub" else "float32"


def _parity(name: str, ours: Any, theirs: Any) -> Parity:
    import numpy as np

    mine = ours.detach().double().numpy()
    if mine.shape != theirs.shape:
        raise IntegrityError(f"{name}: the model gives {mine.shape}, recorded is {theirs.shape}")
    largest = float(np.abs(theirs).max(initial=0))
    difference = float(np.abs(mine - theirs).max(initial=0))
    return Parity(name, difference, difference / (largest or 1.0), TOLERANCE * max(1.0, largest))


def outputs(
    folder: str | os.PathLike[str], given: Mapping[str, Any], dtype: Any
) -> dict[str, Any]:
    """Everything a record can hold, by the record's names.

    Args:
        folder: the model.
        given: arguments of its forward, as tensors.
        dtype: what it computes in.
    """
    import inspect

    import torch

    model = _load(folder, dtype)
    base = model.base_model
    accepted = inspect.signature(model.forward).parameters
    inputs = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in given.items()
        if name in accepted
    }
    found: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(_keep(found, name))
        for name, path in {"mlm_transform": "cls.predictions.transform"}.items()
        if (module := _submodule(model, path)) is not None
    ]
    with torch.no_grad():
        made = model(**inputs, output_hidden_states=True, return_dict=True)
    for hook in hooks:
        hook.remove()
    hidden = made.hidden_states
    found |= {"emb": hidden[0]} | {f"layer_{i}": state for i, state in enumerate(hidden[1:])}
    if getattr(base, "pooler", None) is not None:
        found["pooled"] = base.pooler(hidden[-1])
    else:
        pooled = _pooled(folder, inputs, dtype)
        found |= {} if pooled is None else {"pooled": pooled}
    for name, attribute in (("mlm_logits", "prediction_logits"), ("mlm_logits", "logits")):
        value = getattr(made, attribute, None)
        if value is not None and value.ndim == 3:
            found[name] = value
    for attribute in ("seq_relationship_logits", "logits"):
        value = getattr(made, attribute, None)
        if value is not None and value.ndim == 2:
            found["nsp_probs"] = value.softmax(-1)
    if "mlm_logits" in found:
        found["mlm_probs"] = found["mlm_logits"].softmax(-1)
        found["mlm_output"] = found["mlm_logits"]
    return found


def _load(folder: str | os.PathLike[str], dtype: Any, auto: bool = False) -> Any:
    """The class that `architectures` names, or, with `auto`, the model without heads."""
    import json
    from logging import ERROR

    import transformers
    from transformers.utils import logging

    config = json.loads((Path(folder) / "config.json").read_text("utf-8"))
    name = config["architectures"][0]
    if name.startswith("Genae"):
        import zoo.models

        loader = getattr(zoo.models, name)
    else:
        loader = getattr(transformers, name)
    loader = transformers.AutoModel if auto else loader
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        model = loader.from_pretrained(folder, dtype=dtype)
    finally:
        logging.set_verbosity(before)
    return model.eval()


def _pooled(folder: str | os.PathLike[str], inputs: Mapping[str, Any], dtype: Any) -> Any:
    """The pooler's output where the class with the heads has no pooler, but the files do."""
    import torch
    from safetensors import safe_open

    names: set[str] = set()
    for path in Path(folder).glob("*.safetensors"):
        with safe_open(path, "np") as file:
            names |= set(file.keys())
    if not any(".pooler." in name for name in names):
        return None
    with torch.no_grad():
        return _load(folder, dtype, auto=True)(**inputs).pooler_output


def _keep(found: dict[str, Any], name: str) -> Callable[[Any, Any, Any], None]:
    def hook(module: Any, args: Any, output: Any) -> None:
        found[name] = output

    return hook


def _submodule(model: Any, path: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None
