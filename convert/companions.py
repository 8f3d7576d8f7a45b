"""Which legacy configuration belongs to a checkpoint: of the files near it, the one that fits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.arguments import read_json
from convert.families.base import CONFIG_OPTIONS
from convert.identify.evidence import sizes_present
from convert.identify.family import candidates, shapes_of
from convert.published import Release, differences
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError

if TYPE_CHECKING:
    from convert.readers import Checkpoint

#: Names that configurations were published under, the likeliest first.
NAMES = (
    "bert_config.json",
    "config.json",
    "*config*.json",
    "mega.json",
    "discriminator.json",
    "generator.json",
    "hparams.json",
    "*.json",
)
ANY = "*.json"  # whose content decides
#: What GPT-2's and T5's authors, and transformers after them, call the sizes.
ALIASES = {
    "n_embd": "hidden_size",
    "d_model": "hidden_size",
    "n_head": "num_attention_heads",
    "num_heads": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "num_layers": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
    "n_ctx": "max_position_embeddings",
    "n_vocab": "vocab_size",
    "n_inner": "intermediate_size",
    "d_ff": "intermediate_size",
    "d_kv": "attention_head_size",
    "activation_function": "hidden_act",
}
#: A size that a checkpoint's tensors tell -> the key of it.
SIZES = {
    "hidden": "hidden_size",
    "intermediate": "intermediate_size",
    "embedding": "embedding_size",
    "vocab": "vocab_size",
    "positions": "max_position_embeddings",
    "segments": "type_vocab_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
}
#: Keys that decide what the result computes.
DECIDING = {*SIZES.values(), *CONFIG_OPTIONS.values(), "relative_attention_num_buckets"} - {
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
}
MAX_BYTES = 2**20  # bytes of a configuration
NONE_FITS = 1000  # more than any count of sizes


@dataclass(frozen=True)
class Candidate:
    """A configuration near a checkpoint.

    Attributes:
        path: its file.
        rank: how near it lies and how likely its name is; less is better.
        table: its content, sizes by their usual keys.
        misfits: how many of its sizes the tensors contradict.
    """

    path: Path
    rank: tuple[int, int]
    table: dict[str, Any]
    misfits: int = 0


def read_config(
    source: str | os.PathLike[str],
    checkpoint: Checkpoint,
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
    family: str | None = None,
    options: Mapping[str, Any] | None = None,
    release: Release | None = None,
) -> tuple[dict[str, Any], str]:
    """The legacy configuration and the name of its file.

    Args:
        source: what was opened.
        checkpoint: near whose files it is looked for.
        config: its content, its file, or a folder to look in; None looks near the checkpoint.
        family: of the model, where somebody knows.
        options: those given to the builder.
        release: the published one that the checkpoint is, where that is certain.

    Raises:
        NotFoundError: there is none.
        IntegrityError: it is not a JSON table.
        UsageError: several fit, and they differ in what decides.
    """
    if isinstance(config, Mapping):
        return _usual(config), ""
    places = checkpoint.places or [checkpoint.files[0].parent]
    if config is not None:
        given = Path(os.path.expanduser(config))
        if not given.is_dir():
            return _usual(_read(given)), given.name
        places = [given]
    found, broken = _candidates(places)
    if not found:
        above = _above(places[-1].parent, checkpoint, family, options or {})
        if above is not None and config is None and broken is None:
            return above.table, f"{above.path.name}, of the folder above"
        if broken is not None:
            raise broken
        derived = _of_tensors(checkpoint, family, options or {})
        if derived is not None and config is None:
            return (
                derived,
                "none; sizes and heads are those of the tensors, the activation is gelu",
            )
        where = f"in {places[0]}" if config is not None else f"next to {Path(source).name}"
        raise NotFoundError(
            f"no bert_config.json {where}: the number of attention heads "
            "is in no weights file; give --config FILE"
        )
    if len(found) == 1:
        return found[0].table, found[0].path.name
    return _best(found, checkpoint, family, options or {}, release)


def _of_tensors(
    checkpoint: Checkpoint, family: str | None, options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A configuration of the tensors alone, where they tell the number of heads and of layers.

    TensorFlow Hub's encoders have no other. The activation, which no tensor tells, is their gelu.
    """
    options = {k: value for k, value in options.items() if k not in ("simplified", "startswith")}
    try:
        pairs = candidates(family, checkpoint, {}, options)
    except (UsageError, IntegrityError):
        return None
    if len(pairs) != 1:
        return None
    chosen, naming = pairs[0]
    if naming.heads is None:
        return None
    sizes = sizes_present(chosen, naming.kind, naming.shapes(checkpoint)) | {"heads": naming.heads}
    table = {key: sizes[word] for word, key in SIZES.items() if word in sizes}
    needed = {"hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"}
    return {**table, "hidden_act": "gelu"} if needed <= set(table) else None


def _best(
    found: list[Candidate],
    checkpoint: Checkpoint,
    family: str | None,
    options: Mapping[str, Any],
    release: Release | None,
) -> tuple[dict[str, Any], str]:
    """The candidate that the tensors contradict the fewest times, and its name with why."""
    judged = [
        Candidate(one.path, one.rank, one.table, _misfits(one.table, checkpoint, family, options))
        for one in found
    ]
    best = min(judged, key=lambda one: (one.misfits, one.rank))
    if best.misfits:  # none fits: what the likeliest says wrongly is reported where it matters
        best = min(judged, key=lambda one: one.rank)
        return best.table, best.path.name
    equals = [one for one in judged if not one.misfits and one.rank[0] == best.rank[0]]
    if release is not None:  # which shared layers do not tell
        as_published = [one for one in equals if not differences(release, _sizes(one.table))]
        equals = as_published or equals
        best = min(equals, key=lambda one: one.rank)
    for one in equals:
        for key in sorted(DECIDING & set(one.table) & set(best.table)):
            if one.table[key] != best.table[key]:
                raise UsageError(
                    f"{best.path} and {one.path.name} both fit the checkpoint, but {key} is "
                    f"{best.table[key]!r} in the first and {one.table[key]!r} in the second: give "
                    "the right one with --config FILE"
                )
    fitting = len(equals) < len([one for one in judged if one.rank[0] == best.rank[0]])
    return best.table, f"{best.path.name}{', the one that fits' if fitting else ''}"


def _sizes(table: Mapping[str, Any]) -> dict[str, int]:
    """What a configuration says, by the words that rows and releases use."""
    return {word: table[key] for word, key in SIZES.items() if type(table.get(key)) is int}


def _above(
    folder: Path, checkpoint: Checkpoint, family: str | None, options: Mapping[str, Any]
) -> Candidate | None:
    """The configuration of the folder above, where exactly one there fits the tensors."""
    found = [
        one
        for one in _candidates([folder])[0]
        if NAMES[one.rank[1]] != ANY and not _misfits(one.table, checkpoint, family, options)
    ]
    return found[0] if len(found) == 1 else None


def _candidates(places: list[Path]) -> tuple[list[Candidate], GenaeError | None]:
    """Configurations in some folders, and what is wrong with the likeliest that is none.

    Files whose name says nothing count only where no other does.
    """
    found: list[Candidate] = []
    broken: GenaeError | None = None
    named: Candidate | None = None
    for path, rank in _files(places):
        if NAMES[rank[1]] == ANY and (found or named):
            continue
        try:
            table = _usual(read_json(path))
        except GenaeError as error:
            if NAMES[rank[1]] != ANY:
                broken = broken or error
            continue
        if "hidden_size" in table or "num_attention_heads" in table:
            found.append(Candidate(path, rank, table))
        elif NAMES[rank[1]] in NAMES[:2]:
            named = named or Candidate(path, rank, table)
    if not found and named and broken is None:
        found = [named]  # its lacks are named
    return found, broken


def _files(places: list[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Files that may be a configuration, each once, by their names' rank."""
    from convert.readers.archive import is_clutter

    seen: set[Path] = set()
    for likely, pattern in enumerate(NAMES):
        for near, place in enumerate(places):
            for path in sorted(place.glob(pattern)):
                if path in seen or is_clutter(path.name) or not path.is_file():
                    continue
                seen.add(path)
                if path.stat().st_size <= MAX_BYTES:
                    yield path, (near, likely)


def _usual(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with its sizes under their usual keys."""
    table = dict(config)
    if "num_attention_heads" in table:
        return table
    for alias, key in ALIASES.items():
        if table.get(alias) is not None:
            table.setdefault(key, table[alias])
    width = table.get("n_embd")
    if type(width) is int:
        table.setdefault("intermediate_size", 4 * width)
    return table


def _misfits(
    table: Mapping[str, Any],
    checkpoint: Checkpoint,
    family: str | None,
    options: Mapping[str, Any],
) -> int:
    """How many sizes the tensors contradict, for the family that suits best."""
    options = {k: value for k, value in options.items() if k not in ("simplified", "startswith")}
    try:
        pairs = candidates(family, checkpoint, table, options)
    except (UsageError, IntegrityError):
        return NONE_FITS
    counts = [NONE_FITS]
    for chosen, naming in pairs:
        shapes = shapes_of(naming, checkpoint)
        sizes = sizes_present(chosen, naming.kind, shapes)
        legacy = dict(table) if naming.config is None else naming.config(table, shapes)
        legacy.setdefault("embedding_size", legacy.get("hidden_size"))
        counts.append(
            sum(
                legacy.get(key, sizes[word]) != sizes[word]
                for word, key in SIZES.items()
                if word in sizes
            )
        )
    return min(counts)


def _read(path: Path) -> dict[str, Any]:
    """The content of a file, which may lie in an archive."""
    from convert.readers.archive import split, unpack

    inside = None if path.exists() else split(path)
    if inside is None:
        return read_json(path)
    scratch = unpack(*inside)
    try:
        return read_json(scratch.path / inside[1])
    finally:
        scratch.close()
