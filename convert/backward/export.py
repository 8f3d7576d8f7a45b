"""The way out: from a model's folder to a checkpoint that bert4keras loads.

The weight tables that brought a checkpoint over are run the other way; there is no other list of
names. What a family calls its tensors, where they lie in Keras's layers and what happened to them
on the way stands in its rows alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from convert import families
from convert.arguments import DTYPES, read_json
from convert.backward.heads import read_heads
from convert.backward.layers import KERAS_TARGETS, KerasReport, export_layers, is_of_layers
from convert.backward.legacy_config import architecture_of, without_defaults
from convert.backward.pairs import Pair
from convert.backward.settings import builder, decide
from convert.backward.targets import TARGETS, Target
from convert.report import Report
from convert.weights.steps import Plan
from convert.writers import Outgoing, vocabulary
from zoo.errors import NotFoundError, UsageError
from zoo.hints import did_you_mean


def export_checkpoint(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str,
    family: str | None = None,
    options: Mapping[str, Any] | None = None,
    allow_unused: Sequence[str] = (),
    dtype: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Report | KerasReport:
    """Turn a model's folder into a checkpoint for bert4keras, or for Keras, without TensorFlow.

    Whatever `keep_tokens` or `autoresize_weights` left out is not there to come back: the result
    is a model of the new vocabulary or sizes, and is loaded without them.

    Args:
        folder: with `config.json` and safetensors: converted by genae, or saved by
            `save_pretrained` of the classes that a conversion gives.
        out: the new folder; it may exist if it is empty. A model of layers goes to a file alone
            where the name ends in `.keras` or `.h5`.
        to: a key of `TARGETS`: "tf-checkpoint" or "keras-hdf5"; of a model of layers one of
            `KERAS_TARGETS`: "keras" (of Keras 3) or "keras-h5" (of Keras 2.15).
        family: bert4keras's `model=` string; None asks `conversion.json` and `config.json`.
        options: those for `build_transformer_model`, where the folder does not say it.
        allow_unused: patterns of tensors that may be left behind.
        dtype: of every floating-point tensor; None keeps them.
        progress: as of `convert_checkpoint`.

    Returns:
        The report; its options are those that bert4keras's builder needs.

    Raises:
        UsageError: an option or the family is wrong or undecided, or bert4keras has no such model
            or no such form of it.
        NotFoundError: the folder lacks its configuration or weights.
        IntegrityError: the files are damaged, or they and the family's map disagree.
        ConflictError: the target exists.
    """
    from convert.readers.safetensors import open_safetensors
    from zoo.staging import check_new_folder, new_folder

    folder, out = Path(os.path.expanduser(folder)), Path(os.path.expanduser(out))
    if to not in (every := [*TARGETS, *KERAS_TARGETS]):
        raise UsageError(f"no target {to!r} to export to. {did_you_mean(to, every)}")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}; use {', '.join(DTYPES)}")
    check_new_folder(out)
    if not (folder / "config.json").is_file():
        raise NotFoundError(
            f"{folder} has no config.json: give a folder that `genae convert` or "
            "save_pretrained made"
        )
    config = read_json(folder / "config.json")
    fitting = KERAS_TARGETS if is_of_layers(config) else TARGETS
    if to not in fitting and is_of_layers(config):
        raise UsageError(f"{folder} is a model of layers: give --to {' or --to '.join(fitting)}")
    if to not in fitting:
        raise UsageError(
            f"{folder} is a model of {config.get('model_type')}: --to {to} is for a LayersModel, "
            "which `genae convert` makes of a whole Keras file where no --family is given"
        )
    if is_of_layers(config):
        for word, given in (("--family", family), ("--option", options), ("--dtype", dtype)):
            if given:
                raise UsageError(f"{word} is for models of texts; leave it out")
        return export_layers(
            folder, out, config, to=to, allow_unused=allow_unused, progress=progress
        )
    target = TARGETS[to]
    place = folder / "conversion.json"
    recorded = read_json(place) if place.is_file() else {}
    with open_safetensors(folder) as tensors:
        given = families.meant_by(family) | dict(options or {})
        heads = read_heads(config, tensors, recorded)
        backbone = {name: one for name, one in tensors.items() if name not in heads.stored}
        pairing, notes = decide(
            config, recorded, backbone, family, given, allow_unused, target.naming
        )
        chosen, settings = pairing.family, pairing.settings
        pairs = pairing.pairs(target.naming)
        taken = {pair.layer for pair in pairs}
        pairs = [*pairs, *heads.pairs(target.naming, taken)]
        notes = [*notes, *heads.notes(target.naming)]
        legacy = without_defaults(settings.config) | {"vocab_size": settings.sizes["vocab"]}
        report = Report(
            folder,
            out,
            to,
            chosen.name,
            architecture_of(config) or str(config.get("model_type")),
            Plan(tuple(pair.step for pair in pairs), pairing.left),
            {},
            {},
            notes,
            options=builder(chosen, settings),
            heads=list(heads.kinds.values()),
        )
        with new_folder(out) as made:
            outgoing = _outgoing(pairs, tensors, target, dtype, report.notes)
            total = sum(one.nbytes for _, one in outgoing)
            with progress(total) if progress else nullcontext(lambda written: None) as advance:
                behind = partial(heads.order, taken=taken)
                report.files = target.write(made, outgoing, report.options, behind, advance)
            report.files += vocabulary.write(folder, made, settings.sizes["vocab"], report.notes)
            _write_json(made / "bert_config.json", legacy)
            _write_json(made / "conversion.json", report.to_dict())
            report.files += ["bert_config.json", "conversion.json"]
    return report


def _outgoing(
    pairs: Sequence[Pair],
    tensors: Mapping[str, Any],
    target: Target,
    dtype: str | None,
    notes: list[str],
) -> list[tuple[str, Outgoing]]:
    """The tensors with the Keras layer of each, in the type that the form can store."""
    import ml_dtypes
    import numpy as np

    found = []
    for pair in pairs:
        own = np.dtype(np.float32) if pair.made else tensors[pair.step.source].dtype
        floating = own.kind == "f" or own == ml_dtypes.bfloat16
        kind = np.dtype(dtype) if dtype and floating else own
        if kind == ml_dtypes.bfloat16 and not target.bfloat16:
            kind = np.dtype(np.float32)
        one = Outgoing(pair.step.target, pair.step.shape, kind, partial(pair.pieces, tensors))
        found.append((pair.layer, one))
    if not target.bfloat16 and any(
        tensors[pair.step.source].dtype == ml_dtypes.bfloat16 for pair in pairs if not pair.made
    ):
        notes.append("HDF5 has no bfloat16: written as float32, of the same values")
    return found


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
