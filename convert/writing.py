"""The folder of a converted Keras model: weights, configuration, report, card."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.card import origin, sums, write_card
from convert.layers.summary import CONVERSION
from convert.parity import require
from convert.weights.ops import KEEP
from convert.weights.steps import Step
from convert.writers.safetensors import write

if TYPE_CHECKING:
    from convert.parity import Parity
    from convert.readers import Checkpoint
    from convert.report import Report
    from convert.weights.lazy import LazyTensor


def write_folder(
    report: Report,
    checkpoint: Checkpoint,
    title: str,
    files: Sequence[Path],
    *,
    companions: Mapping[str, Mapping[str, Any]],
    more: Mapping[str, LazyTensor] | None = None,
    compare: Callable[[Path], list[Parity]] | None,
    dtype: str | None,
    max_shard_bytes: int,
    progress: Callable[[int], Any] | None,
    paper: str = "",
    with_code: bool = False,
) -> Report:
    """Write the folder of a model, or nothing.

    Args:
        report: on the conversion, with its plan and the `config.json`; parity and files are
            filled in.
        checkpoint: the weights.
        title: what was converted, as the beginning of a sentence.
        files: those that the weights and whatever else came from.
        companions: content of further JSON files, by their names.
        more: tensors of the result that the checkpoint lacks, by name.
        compare: compares the folder with what was recorded; None compares nothing.
        dtype: of every floating-point tensor; None keeps them.
        max_shard_bytes: of a file.
        progress: as `convert_checkpoint`.
        paper: where the model was described.
        with_code: add the modelling files.

    Raises:
        ConflictError: the folder exists.
        ToleranceError: outputs differ from the recorded ones.
    """
    from zoo.staging import new_folder

    more = more or {}
    added = [Step((name,), name, tuple(one.shape), KEEP) for name, one in more.items()]
    steps, tensors = [*report.plan.steps, *added], ChainMap({**more}, {**checkpoint})
    with new_folder(report.out) as folder:
        sources = sums(files)
        total = sum(tensors[name].nbytes for step in steps for name in {*step.sources})
        unsound: list[str] = []
        with progress(total) if progress else nullcontext(lambda written: None) as advance:
            report.files = write(
                folder, steps, tensors, dtype=dtype, max_shard_bytes=max_shard_bytes,
                metadata=origin(sources), advance=advance, unsound=unsound,
            )  # fmt: skip
        if unsound:
            some = ", ".join(unsound[:3]) + (" ..." if len(unsound) > 3 else "")
            words = f"{len(unsound)} weights contain values that are no finite numbers: {some}"
            report.notes.append(words)
            report.warnings.append(words)
        tables = {"config.json": report.result, **companions}
        for name, table in tables.items():
            _write_json(folder / name, table)
        if compare is not None:
            report.parity = compare(folder)
            require(report.parity, "Was it recorded of this model, in inference?")
        _write_json(folder / CONVERSION, report.to_dict())
        report.files += [*tables, CONVERSION]
        report.files += write_card(
            folder, report, title, sources, paper=paper, with_code=with_code
        )
    return report


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
