"""From a legacy checkpoint to a folder that `from_pretrained` takes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import families, planning
from convert.families.base import DROPPED, Settings
from convert.planning import Plan
from zoo.errors import IntegrityError, NotFoundError, UsageError

if TYPE_CHECKING:
    from convert.readers import Checkpoint
    from convert.verify import Parity

CONFIG_NAMES = ("bert_config.json", "config.json", "*config*.json")
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
DTYPES = ("float32", "float16", "bfloat16", "float64")


@dataclass
class Report:
    """What became of a checkpoint.

    Attributes:
        source: what was converted.
        out: the folder made.
        format: of the checkpoint.
        family: bert4keras's name.
        architecture: the class that loads the result.
        plan: what became of every tensor.
        unreadable: tensors without numbers, and why.
        defaults: options that nobody gave, with the values that held.
        notes: what a person should know.
        files: names in the folder.
        parity: outputs beside recorded ones, where that was asked for.
    """

    source: Path
    out: Path
    format: str
    family: str
    architecture: str
    plan: Plan
    unreadable: dict[str, str]
    defaults: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    parity: list[Parity] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON has, without places on this machine."""
        return {
            "source": self.source.name,
            "format": self.format,
            "family": self.family,
            "architecture": self.architecture,
            "parameters": planning.parameters(self.plan.steps),
            "tensors": [
                {
                    "source": step.source,
                    "target": step.target,
                    "shape": list(step.shape),
                    "operation": step.op.name,
                }
                for step in self.plan.steps
            ],
            "dropped": self.plan.dropped,
            "unreadable": self.unreadable,
            "defaults": self.defaults,
            "notes": self.notes,
            "parity": [parity.to_dict() for parity in self.parity],
        }


@dataclass
class Inspection:
    """What a checkpoint is, read from its index alone.

    Attributes:
        source: what was looked at.
        format: "tf_bundle" or "keras_hdf5".
        tensors: how many it has.
        bytes: of all tensors.
        dropped: how many a conversion leaves out (optimizer slots ...).
        families: names of the families that fit.
        parts: heads and other parts that the files hold, of the first family that fits.
        missing: what a conversion still needs, one line each.
        unreadable: tensors without numbers, and why.
    """

    source: Path
    format: str
    tensors: int
    bytes: int
    dropped: int
    families: list[str]
    parts: list[str]
    missing: list[str]
    unreadable: dict[str, str]


def check(
    source: str | os.PathLike[str],
    *,
    family: str | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> Inspection:
    """Say what a checkpoint is, which family fits and what is missing; reads no weights.

    Args:
        source: as `convert_checkpoint`.
        family: look at it as this one.
        config: as `convert_checkpoint`.

    Raises:
        GenaeError: as `convert.open_checkpoint`.
    """
    from convert.readers import open_checkpoint

    with open_checkpoint(source) as checkpoint:
        stored = planning.rows_of(list(checkpoint), checkpoint.format)
        fitting = [families.find(family)] if family else families.fitting(stored)
        slots = [
            name for name in checkpoint if any(pattern.search(name) for pattern, _ in DROPPED)
        ]
        parts = sorted(
            {
                row.part
                for row in (fitting[0].rows if fitting else ())
                if (row.name_in(checkpoint.format) or "").replace("{i}", "0") in stored
            }
        )
        missing = []
        if not fitting:
            missing.append("a family: none that is known fits these names")
        try:
            found, _ = _read_config(source, checkpoint, config)
            if len(fitting) == 1:
                settings = _settle(fitting[0], checkpoint, found, {})
                planning.plan(fitting[0], checkpoint.format, checkpoint, settings)
        except (NotFoundError, UsageError, IntegrityError) as error:
            missing.append(str(error))
        return Inspection(
            Path(source),
            checkpoint.format,
            len(checkpoint),
            sum(tensor.nbytes for tensor in checkpoint.values()),
            len(slots),
            [one.name for one in fitting],
            parts,
            missing,
            dict(checkpoint.unreadable),
        )


def convert_checkpoint(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    family: str | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    verify: str | os.PathLike[str] | None = None,
    allow_unused: Sequence[str] = (),
    dtype: str | None = None,
    max_shard_size: str | int = "5GB",
    verify_checksums: bool = True,
    progress: Callable[[int], Any] | None = None,
) -> Report:
    """Turn a legacy checkpoint into safetensors, config and tokenizer, without TensorFlow.

    The result is made beside its place and renamed at the end: an interrupt leaves nothing.

    Args:
        source: a folder, a checkpoint prefix, its `.index`, the `checkpoint` file, or a Keras
            `.weights`/`.h5` file.
        out: the new folder; it may exist if it is empty.
        family: bert4keras's `model=` string; None asks the files.
        config: the legacy configuration, a file or its content; None looks beside the files.
        options: what `build_transformer_model` was told, by bert4keras's names, and `gelu`.
        verify: a `.npz` with recorded inputs (`in_*`) and outputs (`out_*`) to compare with.
        allow_unused: patterns of tensors that may be left over.
        dtype: "float32", "float16" ... for every floating-point tensor; None keeps them.
        max_shard_size: bytes, or text such as "5GB".
        verify_checksums: check what the checkpoint says of its own bytes.
        progress: given the total bytes, returns a context manager that gives a function which is
            told bytes as they are written.

    Raises:
        UsageError: an option, size or family is wrong or undecided.
        NotFoundError: there is no such checkpoint or configuration.
        IntegrityError: the files are damaged, or they and the family's map disagree.
        ConflictError: the target exists.
        ToleranceError: outputs differ from the recorded ones; nothing is left behind.
    """
    from convert import writing
    from convert.readers import open_checkpoint
    from zoo.staging import check_new_folder, new_folder

    out = Path(out)
    check_new_folder(out)
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}; use {', '.join(DTYPES)}")
    shard_bytes = size_in_bytes(max_shard_size)
    if verify is not None and not Path(verify).is_file():
        raise NotFoundError(f"{verify} does not exist: give the .npz with recorded outputs")
    with open_checkpoint(source, verify_checksums=verify_checksums) as checkpoint:
        stored = planning.rows_of(list(checkpoint), checkpoint.format)
        chosen = families.choose(family, stored)
        given, config_name = _read_config(source, checkpoint, config)
        settings = _settle(chosen, checkpoint, given, options or {})
        plan = planning.plan(chosen, checkpoint.format, checkpoint, settings, allow_unused)
        result = chosen.config(settings)
        kinds = {str(checkpoint[step.source].dtype) for step in plan.steps}
        result["dtype"] = dtype or (kinds.pop() if len(kinds) == 1 else "float32")
        report = Report(
            Path(source),
            out,
            checkpoint.format,
            chosen.name,
            result["architectures"][0],
            plan,
            dict(checkpoint.unreadable),
            settings.defaults,
            list(checkpoint.notes),
        )
        if config_name:
            report.notes.append(f"configuration: {config_name}")
        with new_folder(out) as folder:
            total = sum(checkpoint[step.source].nbytes for step in plan.steps)
            with progress(total) if progress else nullcontext(lambda written: None) as advance:
                report.files = writing.write(
                    folder,
                    plan.steps,
                    checkpoint,
                    dtype=dtype,
                    max_shard_bytes=shard_bytes,
                    advance=advance,
                )
            _write_json(folder / "config.json", result)
            report.files.append("config.json")
            report.files += _tokenizer(folder, checkpoint, settings, report)
            if verify is not None:
                from convert.verify import compare, require

                report.parity = compare(folder, verify)
                require(report.parity)
            from convert.model_card import render

            (folder / "README.md").write_text(render(report, chosen), encoding="utf-8")
            _write_json(folder / "conversion.json", report.to_dict())
            report.files += ["README.md", "conversion.json"]
    return report


def _settle(
    family: families.Family,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Settings:
    stored = planning.rows_of(list(checkpoint), checkpoint.format)
    shapes = {name: tuple(checkpoint[original].shape) for name, original in stored.items()}
    return families.settle(family, checkpoint.format, shapes, config, options)


def _tokenizer(
    folder: Path, checkpoint: Checkpoint, settings: Settings, report: Report
) -> list[str]:
    """The tokenizer's files, where a vocabulary lies beside the checkpoint."""
    from convert import tokenizers

    place = checkpoint.files[0].parent / "vocab.txt"
    if not place.is_file():
        report.notes.append("no vocab.txt beside the checkpoint: the result has no tokenizer")
        return []
    tokens = tokenizers.read_vocab(place)
    if len(tokens) != settings.source_vocab:
        raise IntegrityError(
            f"{place} has {len(tokens)} tokens, the checkpoint {settings.source_vocab}; put the "
            "vocabulary that belongs to it there, or move this one away"
        )
    keep, extra = settings.options["keep_tokens"], settings.compounds
    if keep is not None or extra:
        kept = list(range(len(tokens))) if keep is None else keep
        tokens = tokenizers.keep_vocab(tokens, kept, len(extra))
    lower = settings.options["do_lower_case"]
    if lower is None:  # a vocabulary for cased text has capitals
        lower = not any(re.search("[A-Z]", word) for word in tokens if not word.startswith("["))
        settings.defaults["do_lower_case"] = lower
    return tokenizers.write_tokenizer(
        folder, tokens, do_lower_case=bool(lower), max_length=settings.sizes["positions"]
    )


def _read_config(
    source: str | os.PathLike[str],
    checkpoint: Checkpoint,
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
) -> tuple[dict[str, Any], str]:
    """The legacy configuration and the name of its file."""
    if isinstance(config, Mapping):
        return dict(config), ""
    if config is None:
        folder = checkpoint.files[0].parent
        found = (path for name in CONFIG_NAMES for path in sorted(folder.glob(name)))
        path = next(found, None)
        if path is None:
            raise NotFoundError(
                f"no bert_config.json beside {Path(source).name}: the number of attention heads "
                "is in no weights file; give --config FILE"
            )
    else:
        path = Path(config)
    return read_json(path), path.name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table from a file.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not a JSON table.
    """
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; check the name")
    try:
        table = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error})") from None
    if not isinstance(table, dict):
        raise IntegrityError(f"{path}: not a JSON table")
    return table


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def size_in_bytes(size: str | int) -> int:
    """A size as a person writes it.

    Example:
        >>> size_in_bytes("5GB"), size_in_bytes("512 MiB"), size_in_bytes(17)
        (5000000000, 536870912, 17)

    Raises:
        UsageError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(size).lower())
    if not match or match[2].upper() not in UNITS or not float(match[1]):
        raise UsageError(f"{size!r} is not a size; write 5GB, 500MB or a number of bytes")
    return int(float(match[1]) * UNITS[match[2].upper()])


def parse_option(text: str) -> tuple[str, Any]:
    """KEY=VALUE as the command line has it; the value is JSON where it can be.

    Example:
        >>> parse_option("with_pool=linear"), parse_option("keep_tokens=[0, 5]")
        (('with_pool', 'linear'), ('keep_tokens', [0, 5]))

    Raises:
        UsageError: there is no `=`.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"{text!r} is not KEY=VALUE, such as application=lm")
    words = {"True": True, "False": False, "None": None}
    try:
        return key, words[value] if value in words else json.loads(value)
    except ValueError:
        return key, value
