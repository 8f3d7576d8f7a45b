"""What a checkpoint is, from its index alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import families, preparing
from convert.arguments import check_request
from convert.families.base import UNSAID
from convert.families.settings import deciding, parts_present
from convert.heads.finding import find
from convert.identify.evidence import options_present, sizes_present
from convert.identify.family import Pair, shapes_of
from convert.images.families import FAMILIES as SCRIPTS
from convert.images.opening import fitting, note_whole, open_script, propose
from convert.images.units import read_units
from convert.layered import check_options
from convert.layers.opening import check_meant, open_model
from convert.layers.summary import FAMILY, Summary, summarize, summarize_result
from convert.names.leftovers import why_left_over
from convert.scripted import summarize_script
from zoo.errors import GenaeError

if TYPE_CHECKING:
    from convert.readers import Checkpoint


@dataclass
class Inspection:
    """What a checkpoint is, read from its index alone.

    Attributes:
        source: what was looked at.
        format: "tf_bundle", "tf_object", "tf_v1", "keras_hdf5" or "keras3".
        form: the same in words, with what sets this file apart (shards, byte order, versions).
        tensors: how many it has.
        bytes: of all tensors.
        dropped: how many a conversion leaves out (optimizer slots ...).
        families: names of the families that fit; several where the files do not decide.
        parts: heads and other parts that the files contain.
        heads: of fine-tuning, each with its tensors; they are not converted.
        sizes: of the model, as far as the files show ("vocab", "hidden", "layers" ...).
        options: of bert4keras's builder, those that the files or the caller decide.
        defaults: the other options of the family, with what a conversion takes.
        notes: what else a person should know, such as whose names the tensors have.
        missing: what a conversion still needs, one line each.
        unreadable: tensors without numbers, and why.
        release: which published one it is or may be, by what evidence, and what is known of it.
        exit_code: of the conversion, as far as it is known: 0 where nothing is missing.
    """

    source: Path
    format: str
    form: str
    tensors: int
    bytes: int
    dropped: int
    families: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    release: dict[str, Any] | None = None
    exit_code: int = 0

    @property
    def script(self) -> str:
        """The only family that fits, where it is of published scripts; else empty."""
        alone = self.families[0] if len(self.families) == 1 else ""
        return alone if alone in SCRIPTS else ""

    def deciding(self) -> list[str]:
        """Defaults that change what the result computes, each in words."""
        if len(self.families) != 1 or not self.defaults:
            return []
        return deciding(families.find(self.families[0]), self.defaults)

    def to_dict(self) -> dict[str, Any]:
        """The facts in types that JSON has, without places on this machine."""
        return {
            "format": self.format,
            "form": self.form,
            "tensors": self.tensors,
            "bytes": self.bytes,
            "left_out": self.dropped,
            "families": self.families,
            "release": self.release,
            "parts": self.parts,
            "heads": self.heads,
            "sizes": self.sizes,
            "options": self.options,
            "defaults": self.defaults,
            "notes": self.notes,
            "missing": self.missing,
            "unreadable": self.unreadable,
        }


def inspect(
    source: str | os.PathLike[str],
    *,
    family: str | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
    verify: str | os.PathLike[str] | None = None,
    allow_unused: Sequence[str] = (),
    dtype: str | None = None,
    max_shard_size: str | int = "5GB",
    vocab: str | os.PathLike[str] | None = None,
    release: str | None = None,
    prefer: str | None = None,
    with_code: bool = False,
) -> Inspection | Summary:
    """Say what a checkpoint is, which family fits and what is missing; reads no weights.

    Everything that stops a conversion before it reads values is found, by the same checks.

    Args:
        source: as `convert_checkpoint`, and so on.
        family: look at it as this one.
        config: the legacy configuration.
        options: of the builder.
        out: the new folder, where one is thought of already.
        verify: recorded outputs; only looked for.
        allow_unused: patterns of tensors that may be left over.
        dtype: of the result.
        max_shard_size: of a file of the result.
        vocab: the vocabulary.
        release: the published one that it is.
        prefer: the kind to take of a folder with several.
        with_code: whether the modelling files are to travel along.

    Returns:
        What it is; of a Keras model whose layers are all known, or that fits no family of text
        models, a table of its layers; the same of a folder that such a model was converted to.

    Raises:
        GenaeError: as `convert.open_checkpoint`; or a size, type or place that a conversion
            would refuse before it opens the files.
    """
    check_request(out, dtype, max_shard_size, verify)
    request: dict[str, Any] = {
        "family": family,
        "config": config,
        "options": options,
        "allow_unused": allow_unused,
        "dtype": dtype,
        "vocab": vocab,
        "release": release,
        "with_code": with_code,
    }
    if (result := summarize_result(Path(os.path.expanduser(source)))) is not None:
        return result
    if family in SCRIPTS:
        with open_script(source, family, config, options, allow_unused=allow_unused) as script:
            return summarize_script(script)
    model = open_model(source, config, allow_unused=allow_unused, options=options)
    check_meant(source, options, model)
    if model is not None:
        with model:
            if family is None and model.checkpoint is not None:
                if model.problems:
                    propose(model.problems, model.checkpoint)
                else:
                    note_whole(model.notes, model.checkpoint)
            summary = summarize(model)
        if family == FAMILY or (family is None and model.meant(options)):
            check_options(options, model.network)
            return summary
    try:
        scripts = model is None and family is None
        found = _inspect_text(source, prefer, request, scripts)
    except GenaeError:
        if model is None or family is not None:
            raise
        return summary
    if model is not None and not found.families:
        return summary
    return found


def _inspect_text(
    source: str | os.PathLike[str], prefer: str | None, request: dict[str, Any], scripts: bool
) -> Inspection:
    """The same of a model of texts, by the tables of its family.

    Args:
        source: as `inspect`, and so on.
        prefer: the kind of several.
        request: what was asked of the conversion.
        scripts: whether to name scripts of image models where no family of texts fits.
    """
    from convert.choosing import open_one

    with open_one(source, prefer, **request) as checkpoint:
        ready = preparing.prepare(source, checkpoint, **request)
        preparing.check_tokenizer(ready)
        found = Inspection(
            Path(source),
            checkpoint.format,
            checkpoint.form,
            len(checkpoint),
            sum(tensor.nbytes for tensor in checkpoint.values()),
            sum(why_left_over(name) is not None for name in checkpoint),
            notes=ready.notes
            if ready.plan is not None
            else [*ready.notes, *(note for _, naming in ready.pairs[:1] for note in naming.notes)],
            missing=[str(problem) for problem in ready.problems],
            unreadable=dict(checkpoint.unreadable),
            release=ready.release.to_dict(),
            exit_code=ready.problems[0].exit_code if ready.problems else 0,
        )
        _describe(found, ready.pairs, checkpoint, ready.config, ready.given)
        if scripts and not ready.pairs:
            found.families = list(fitting(read_units(checkpoint)))
        if ready.settings is not None and "do_lower_case" in found.defaults:
            found.defaults["do_lower_case"] = ready.settings.defaults.get("do_lower_case")
        if ready.meaning is not None:
            found.defaults["gelu"] = ready.meaning.form
    return found


def _describe(
    found: Inspection,
    pairs: list[Pair],
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    given: Mapping[str, Any],
) -> None:
    """Put down what the files say to every family that fits."""
    found.families = [family.name for family, _ in pairs]
    count = config.get("num_attention_heads")
    evidence: list[tuple[set[str], dict[str, int], dict[str, Any]]] = []
    for family, naming in pairs:
        shapes = shapes_of(naming, checkpoint)
        present = {
            part for part, there in parts_present(family, naming.kind, shapes).items() if there
        }
        sizes = sizes_present(family, naming.kind, shapes)
        number = count if type(count) is int and count > 0 else None
        evidence.append((present, sizes, options_present(family, naming.kind, shapes, number)))
    if not evidence:
        return
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.items()}
    found.heads = [str(head) for head in find(pairs[0][1], shapes)]
    found.parts = sorted(set.intersection(*(present for present, _, _ in evidence)))
    found.sizes = _common([sizes for _, sizes, _ in evidence])
    found.options = _common([options for _, _, options in evidence]) | dict(given)
    families_options = _common([dict(family.options) for family, _ in pairs])
    found.defaults = {
        name: value
        for name, value in families_options.items()
        if name not in found.options and name not in UNSAID
    }


def _common(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """What every one of several tables says."""
    first, *others = tables
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }
