"""What is known before a value is read: shared by a conversion and by `--check`.

Every check that needs no values stands here, once. A conversion raises the first problem that is
found; `--check` shows all of them and ends with the exit code of the first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import advice, choosing, families, planning, tokenizers, writing
from convert.arguments import DTYPES, size_in_bytes
from convert.companions import read_config
from convert.planning import Plan
from convert.renames import rename
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError
from zoo.staging import check_new_folder

if TYPE_CHECKING:
    from convert.families import Family, Settings
    from convert.naming import Naming
    from convert.readers import Checkpoint


@dataclass
class Prepared:
    """What a conversion will do, as far as it is known.

    Attributes:
        checkpoint: the files.
        given: options as given, with what the family's name stands for.
        config: the legacy configuration; empty where there is none.
        config_name: the name of its file; empty where it was given as a table.
        pairs: the families that fit, each with what the tensors are called there.
        vocabulary: the one near the checkpoint, or the one that was given.
        settings: what holds for the conversion.
        plan: what becomes of every tensor.
        result: the `config.json` to write.
        notes: what a person should know.
        problems: what stops the conversion, in the order in which it finds it.
    """

    checkpoint: Checkpoint
    given: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_name: str = ""
    pairs: list[choosing.Pair] = field(default_factory=list)
    vocabulary: tokenizers.Found = field(default_factory=lambda: tokenizers.Found(None))
    settings: Settings | None = None
    plan: Plan | None = None
    result: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[GenaeError] = field(default_factory=list)

    @property
    def beside(self) -> Path:
        """The folder of the checkpoint, where its companion files lie."""
        return self.checkpoint.files[0].parent

    def require(self) -> tuple[Family, Naming, Settings, Plan]:
        """What a conversion goes by.

        Raises:
            GenaeError: the first of the problems.
        """
        if self.problems:
            raise self.problems[0]
        assert self.settings is not None
        assert self.plan is not None
        return *self.pairs[0], self.settings, self.plan

    def write_tokenizer(self, folder: Path) -> list[str]:
        """Write the tokenizer's files; arguments and errors as `tokenizers.write_beside`.

        Those of a folder of transformers are copied.
        """
        assert self.settings is not None
        if self.pairs[0][1].result is not None and not self.vocabulary.given:
            copied = tokenizers.copy_given(self.beside, folder, self.settings, self.notes)
            if copied:
                return copied
        return tokenizers.write_beside(
            folder, self.vocabulary, self.settings, self.result["model_type"], self.notes
        )


def check_request(
    out: str | os.PathLike[str] | None,
    dtype: str | None,
    max_shard_size: str | int,
    verify: str | os.PathLike[str] | None,
) -> int:
    """Check what needs no checkpoint; arguments as `convert_checkpoint`.

    Returns:
        Bytes of the largest file.

    Raises:
        UsageError: a size or type that there is not.
        NotFoundError: the recorded outputs do not exist.
        ConflictError: the target exists.
    """
    if out is not None:
        check_new_folder(Path(out))
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}; use {', '.join(DTYPES)}")
    shard_bytes = size_in_bytes(max_shard_size)
    if verify is not None and not Path(verify).is_file():
        raise NotFoundError(f"{verify} does not exist: give the .npz with recorded outputs")
    return shard_bytes


def prepare(
    source: str | os.PathLike[str],
    checkpoint: Checkpoint,
    *,
    family: str | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    allow_unused: Sequence[str] = (),
    dtype: str | None = None,
    vocab: str | os.PathLike[str] | None = None,
) -> Prepared:
    """Find out what a conversion will do, and what stops it; reads no values.

    Args:
        source: what was opened.
        checkpoint: the same, open.
        family: as `convert_checkpoint`, and so on.
        config: the legacy configuration.
        options: of the builder.
        allow_unused: patterns of tensors that may be left over.
        dtype: of the result.
        vocab: the vocabulary.

    Raises:
        UsageError: no family is called so.
    """
    ready = Prepared(checkpoint, families.meant_by(family))
    try:
        ready.config, ready.config_name = read_config(source, checkpoint, config, family, options)
    except GenaeError as error:
        ready.problems.append(error)
    asked = bool(ready.problems)  # for a configuration, which layers without names need as well
    try:
        sizes = _vocabulary_sizes(ready.config, options or {})
        places = checkpoint.places or [ready.beside]
        above = [places[-1].absolute().parent, Path(source).absolute().parent]
        ready.vocabulary = tokenizers.choose_vocabulary(places, vocab, sizes, above)
        ready.given |= tokenizers.with_simplified(options or {}, ready.vocabulary)
    except GenaeError as error:
        ready.problems.append(error)
    stopped = bool(ready.problems)
    try:
        ready.pairs = choosing.candidates(family, checkpoint, ready.config, ready.given)
        pair = choosing.only(ready.pairs, checkpoint)
        if not stopped:
            _settle(ready, *pair, allow_unused, dtype)
    except IntegrityError as error:
        ready.problems += [] if asked else [error]
    except GenaeError as error:
        ready.problems.append(error)
    return ready


def _vocabulary_sizes(config: Mapping[str, Any], options: Mapping[str, Any]) -> list[int]:
    """How many tokens a vocabulary may have: one a row, or as many as are kept."""
    rows, keep = config.get("vocab_size"), options.get("keep_tokens")
    kept = len(keep) if isinstance(keep, list | tuple) else None
    return [size for size in (rows, kept) if type(size) is int and size > 0]


def check_tokenizer(ready: Prepared) -> None:
    """Make the tokenizer's files and throw them away: their problems are found."""
    if ready.problems:
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            ready.write_tokenizer(Path(folder))
        except GenaeError as error:
            ready.problems.append(error)


def _settle(
    ready: Prepared,
    family: Family,
    naming: Naming,
    allow_unused: Sequence[str],
    dtype: str | None,
) -> None:
    """Settings, plan and configuration of the result, for one family."""
    checkpoint = ready.checkpoint
    settings = choosing.settle(
        family, naming, checkpoint, ready.config, ready.given, ready.vocabulary.words is not None
    )
    ready.settings = settings
    plan = planning.plan(family, naming, checkpoint, settings, allow_unused)
    result = family.config(settings)
    if naming.result is not None:
        result = naming.result(result, settings)
    if not result["model_type"].startswith("genae_"):
        plan = Plan(tuple(rename(plan.steps, family.renames)), plan.dropped)
    writing.kinds_of(plan.steps, checkpoint, dtype)
    kinds = {str(checkpoint[name].dtype) for step in plan.steps for name in step.sources}
    result["dtype"] = dtype or (kinds.pop() if len(kinds) == 1 else "float32")
    ready.plan, ready.result = plan, result
    ready.notes = [*checkpoint.notes, *settings.notes, *naming.notes]
    ready.notes += advice.expected(result, [step.target for step in plan.steps])
    if ready.config_name:
        ready.notes.append(f"configuration: {ready.config_name}")
