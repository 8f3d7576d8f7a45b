"""What is known before a value is read: shared by a conversion and an inspection.

Every check that needs no values stands here, once. A conversion raises the first problem that is
found; an inspection shows all of them, and its exit code is that of the first.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import advice, families, gelu, published, tokenizers
from convert.companions import read_config
from convert.families.base import CONFIG_OPTIONS
from convert.families.blocks import CONDITION_TABLE
from convert.heads.fitting import propose
from convert.heads.recorded import read_recorded
from convert.heads.tuning import names_of_conditions, wanted
from convert.heads.units import units
from convert.identify.family import Pair, candidates, only, resolve_settings, several
from convert.identify.shrunk import shrunk
from convert.images.opening import propose as propose_scripts
from convert.plan import make_plan
from convert.weights.renames import rename
from convert.weights.steps import Plan
from convert.writers.safetensors import kinds_of
from zoo.errors import GenaeError, IntegrityError, UsageError
from zoo.heads import is_fine_tuned

if TYPE_CHECKING:
    from convert.families import Family, Settings
    from convert.names.naming import Naming
    from convert.readers import Checkpoint

HDF5 = "keras_hdf5"  # the form that may hold an architecture


@dataclass
class Prepared:
    """What a conversion will do, as far as it is known.

    Attributes:
        checkpoint: the files.
        given: options as given, with what the family's name stands for and what is known of the
            release.
        config: the legacy configuration; empty where there is none.
        config_name: the name of its file; empty where it was given as a table.
        pairs: the families that fit, each with what the tensors are called there.
        vocabulary: the one near the checkpoint, or the one that was given.
        settings: the resolved ones of the conversion.
        plan: what becomes of every tensor.
        configure: makes the `config.json` of settings.
        result: the `config.json` to write.
        notes: what a person should know.
        warnings: those of the notes that nobody should miss.
        release: which published one it is, or may be.
        meaning: what a plain gelu is taken for, where nobody said it.
        problems: what stops the conversion, in the order in which it finds it.
    """

    checkpoint: Checkpoint
    given: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_name: str = ""
    pairs: list[Pair] = field(default_factory=list)
    vocabulary: tokenizers.Found = field(default_factory=lambda: tokenizers.Found(None))
    settings: Settings | None = None
    plan: Plan | None = None
    configure: Callable[[Settings], dict[str, Any]] = field(default=lambda settings: {})
    result: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    release: published.Recognition = field(default_factory=published.Recognition)
    meaning: gelu.Meaning | None = None
    problems: list[GenaeError] = field(default_factory=list)

    @property
    def folder(self) -> Path:
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
        """Write the tokenizer's files; arguments and errors as `tokenizers.write_files`.

        Those of a folder of transformers are copied.
        """
        assert self.settings is not None
        if self.pairs[0][1].result is not None and not self.vocabulary.given:
            copied = tokenizers.copy_given(self.folder, folder, self.settings, self.notes)
            if copied:
                return copied
        return tokenizers.write_files(
            folder, self.vocabulary, self.settings, self.result["model_type"], self.notes
        )


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
    release: str | None = None,
    with_code: bool = False,
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
        release: the published one that it is.
        with_code: whether the modelling files are to travel along.

    Raises:
        UsageError: no family or release is called so.
    """
    known = published.named(release, family) if release is not None else None
    family = known.family if known is not None and family is None else family
    ready = Prepared(checkpoint, families.meant_by(family))
    try:
        ready.config, ready.config_name = read_config(
            source, checkpoint, config, family, options, known or published.by_index(checkpoint)
        )
        behind = bool((options or {}).get("heads") or (options or {}).get("head"))
        ready.config, said = shrunk(ready.config, checkpoint, behind)
        ready.warnings += said
    except GenaeError as error:
        ready.problems.append(error)
    asked = bool(ready.problems)  # for a configuration, which layers without names need as well
    try:
        sizes = _vocabulary_sizes(ready.config, options or {})
        places = checkpoint.places or [ready.folder]
        above = [places[-1].absolute().parent, Path(source).absolute().parent]
        ready.vocabulary = tokenizers.choose_vocabulary(places, vocab, sizes, above)
        ready.given |= tokenizers.with_simplified(options or {}, ready.vocabulary)
    except GenaeError as error:
        ready.problems.append(error)
    stopped = bool(ready.problems)
    try:
        ready.pairs = candidates(family, checkpoint, ready.config, ready.given)
        _recognise(ready, known)
        pair = only(ready.pairs, checkpoint)
        if not stopped:
            _resolve(ready, *pair, allow_unused, dtype)
            if with_code:
                _require_own_code(ready.result)
    except IntegrityError as error:
        ready.problems += [] if asked else [error]
    except GenaeError as error:
        # Of no known family, no configuration or vocabulary would help.
        ready.problems = [*ready.problems, error] if ready.pairs else [error]
    if family is None and not ready.pairs:
        propose_scripts(ready.problems, checkpoint)
    return ready


def _require_own_code(result: Mapping[str, Any]) -> None:
    """Raise unless genae has the class of the result, so that there is code to add.

    Raises:
        UsageError: it is transformers' own.
    """
    if not result["model_type"].startswith("genae_"):
        name = result["architectures"][0]
        raise UsageError(
            f"{name} is genae's head on a backbone of transformers, which loads with genae alone: "
            "leave --with-code out"
            if is_fine_tuned(name)
            else f"{name} is transformers' own class, which loads it without code: leave "
            "--with-code out"
        )


def _vocabulary_sizes(config: Mapping[str, Any], options: Mapping[str, Any]) -> list[int]:
    """How many tokens a vocabulary may have: one a row, or as many as are kept."""
    rows, keep = config.get("vocab_size"), options.get("keep_tokens")
    kept = len(keep) if isinstance(keep, list | tuple) else None
    return [size for size in (rows, kept) if type(size) is int and size > 0]


def _recognise(ready: Prepared, known: published.Release | None) -> None:
    """Take what is known of the release, if it is one, where nobody gave anything else."""
    ready.release = published.recognise(
        ready.pairs, ready.checkpoint, ready.config, ready.vocabulary.path, known
    )
    family = ready.release.family
    if len(ready.pairs) > 1 and any(pair[0].name == family for pair in ready.pairs):
        ready.pairs = [pair for pair in ready.pairs if pair[0].name == family]
    if len(ready.pairs) > 1 and ready.release.by == published.SIZES:
        names = " or ".join(one.name for one in ready.release.releases)
        raise UsageError(
            f"{several(ready.pairs)}. Vocabulary and sizes are those of {names}, which "
            "--as NAME says"
        )
    if not ready.release.releases or not ready.pairs:
        return
    naming = ready.pairs[0][1]
    taken = {
        name: value
        for name, value in ready.release.facts.items()
        if name not in ready.given
        and all(name in {*one.options, *CONFIG_OPTIONS} for one, _ in ready.pairs)
        and (name != "gelu" or known or naming.kind == "tensorflow")
    }
    ready.given |= taken
    ready.notes.append(ready.release.words(taken))
    sizes = published.sizes_of(*ready.pairs[0], ready.checkpoint, ready.config)
    ready.warnings += published.doubts(ready.release, ready.config, sizes)


def check_tokenizer(ready: Prepared) -> None:
    """Make the tokenizer's files and throw them away: their problems are found."""
    if ready.problems:
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            ready.write_tokenizer(Path(folder))
        except GenaeError as error:
            ready.problems.append(error)


def _resolve(
    ready: Prepared,
    family: Family,
    naming: Naming,
    allow_unused: Sequence[str],
    dtype: str | None,
) -> None:
    """Settings, plan and configuration of the result, for one family."""
    checkpoint = ready.checkpoint
    given = dict(ready.given)
    recorded = read_recorded(checkpoint.files[0]) if checkpoint.format == HDF5 else None
    if "gelu" not in given and recorded is not None and (form := recorded.gelu()):
        given["gelu"] = form
    if "gelu" not in given:
        ready.meaning = gelu.meaning(family, naming, ready.config, given)
        given |= {} if ready.meaning is None else {"gelu": ready.meaning.form}
    tuned, given = wanted(family, naming, checkpoint, recorded, ready.config, given)
    settings = resolve_settings(
        family, naming, checkpoint, ready.config, given, ready.vocabulary.words is not None
    )
    if ready.meaning is not None:
        settings.defaults["gelu"] = ready.meaning.form
        words, warning = gelu.said(ready.meaning, ready.release)
        (ready.warnings if warning else ready.notes).append(words)
    elif not gelu.plain(family, settings):  # a default that decides nothing
        settings.defaults.pop("gelu", None)
    ready.settings = settings

    def with_heads() -> str:
        left = units(family, naming, checkpoint, recorded, settings.config)
        return propose(left, settings.sizes["hidden"])

    plan = make_plan(
        family, naming, checkpoint, settings, allow_unused,
        tuned.sources if tuned is not None else (), with_heads,
    )  # fmt: skip

    def configure(settings: Settings) -> dict[str, Any]:
        if tuned is None:
            made = family.config(settings) | names_of_conditions(
                given.get("labels"), settings.sizes.get(CONDITION_TABLE)
            )
        else:
            made = tuned.config(family, settings)
        return made if naming.result is None else naming.result(made, settings)

    ready.configure, result = configure, configure(settings)
    if not result["model_type"].startswith("genae_"):
        plan = Plan(tuple(rename(plan.steps, family.renames)), plan.dropped)
    if tuned is not None:
        plan = Plan((*plan.steps, *tuned.steps(result)), plan.dropped)
        ready.warnings += tuned.notes
    kinds_of(plan.steps, checkpoint, dtype)
    kinds = {str(checkpoint[name].dtype) for step in plan.steps for name in step.sources}
    result["dtype"] = dtype or (kinds.pop() if len(kinds) == 1 else "float32")
    ready.plan, ready.result = plan, result
    ready.notes += [*checkpoint.notes, *settings.notes, *naming.notes, *ready.warnings]
    ready.notes += advice.expected(result, [step.target for step in plan.steps])
    if ready.config_name:
        ready.notes.append(f"configuration: {ready.config_name}")
