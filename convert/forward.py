"""From a legacy checkpoint to a folder that `from_pretrained` takes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.arguments import check_request
from convert.images.families import FAMILIES as SCRIPTS
from convert.images.opening import open_script, propose
from convert.layered import convert_model
from convert.layers.opening import check_meant, open_model
from convert.layers.summary import FAMILY
from convert.parity import require
from convert.report import Report
from convert.scripted import convert_script

if TYPE_CHECKING:
    from convert.preparing import Prepared


#: What to do where a model with heads differs from its record.
HEAD_ADVICE = (
    "Are the settings of the heads (--head-option KEY=VALUE) and the model's options "
    "(--option KEY=VALUE) those of the original?"
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
    vocab: str | os.PathLike[str] | None = None,
    progress: Callable[[int], Any] | None = None,
    release: str | None = None,
    prefer: str | None = None,
    with_code: bool = False,
) -> Report:
    """Turn a legacy checkpoint into safetensors, config and tokenizer, without TensorFlow.

    The result is made next to its place and renamed at the end: an interrupt leaves nothing.

    Args:
        source: a folder, a checkpoint prefix, its `.index`, the `checkpoint` file, or a Keras
            `.weights`/`.h5` file.
        out: the new folder; it may exist if it is empty.
        family: bert4keras's `model=` string, or the name of a published script of image models
            (`convert.images.families`); None asks the files.
        config: the legacy configuration, a file or its content; None looks near the files.
        options: those given to `build_transformer_model`, by bert4keras's names, and `gelu`; of a
            Keras model that is taken layer by layer `channels_last`, false to give it images and
            to get them with their channels behind the batch; of a script those that no shapes of
            its weights tell, such as `image_size`.
        verify: a `.npz` with recorded inputs (`in_*`) and outputs (`out_*`) to compare with; of
            layers and of scripts as `convert.verify.layers` says.
        allow_unused: patterns of tensors that may be left over.
        dtype: "float32", "float16" ... for every floating-point tensor; None keeps them.
        max_shard_size: bytes, or text such as "5GB".
        verify_checksums: check what the checkpoint says of its own bytes.
        vocab: a list of tokens such as vocab.txt, or a SentencePiece model; "none" for none; None
            looks near the files.
        progress: given the total bytes, returns a context manager that gives a function which is
            called with bytes as they are written.
        release: the published one that it is, by its name in `convert.known_releases()`: family,
            options, gelu, casing and words follow. None recognises it where files allow that.
        prefer: the kind to take of several checkpoints in a folder, "tensorflow" or "keras"; None
            takes the first that there is, where all hold the same tensors by names and shapes.
        with_code: add the modelling files, so that transformers loads the result without genae
            (`trust_remote_code=True`); of a class that transformers lacks.

    Raises:
        UsageError: an option, size, release or family is wrong or undecided.
        NotFoundError: there is no such checkpoint or configuration.
        IntegrityError: the files are damaged, or they and the family's map disagree.
        ConflictError: the target exists.
        ToleranceError: outputs differ from the recorded ones; nothing is left behind.
    """
    out = Path(os.path.expanduser(out))
    shard_bytes = check_request(out, dtype, max_shard_size, verify)
    if family in SCRIPTS:
        with open_script(source, family, config, options, allow_unused=allow_unused) as script:
            return convert_script(
                script, out, verify=verify, dtype=dtype, max_shard_bytes=shard_bytes,
                progress=progress, with_code=with_code,
            )  # fmt: skip
    model = open_model(source, config, allow_unused=allow_unused, options=options)
    check_meant(source, options, model)
    if model is not None:
        with model:
            if family == FAMILY or (family is None and model.meant(options)):
                return convert_model(
                    model, out, verify=verify, options=options, dtype=dtype,
                    max_shard_bytes=shard_bytes, progress=progress, with_code=with_code,
                )  # fmt: skip
            if model.checkpoint is None and family is None:
                model.require()
            if family is None and model.checkpoint is not None:
                propose(model.problems, model.checkpoint)
    from convert import preparing  # of texts alone, which cost an image model their imports
    from convert.card import origin, sums, write_card
    from convert.choosing import open_one
    from convert.writers.safetensors import write
    from zoo.staging import new_folder

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
    with open_one(source, prefer, verify_checksums=verify_checksums, **request) as checkpoint:
        ready = preparing.prepare(source, checkpoint, **request)
        if model is not None and not ready.pairs and family is None:
            model.require()
        chosen, _, settings, plan = ready.require()
        report = Report(
            Path(source),
            out,
            checkpoint.format,
            chosen.name,
            ready.result["architectures"][0],
            plan,
            dict(checkpoint.unreadable),
            settings.defaults,
            ready.notes,
            options=settings.lasting(),
            config=settings.config,
            result=ready.result,
            release=ready.release.to_dict(),
        )
        with new_folder(out) as folder:
            companions = ready.write_tokenizer(folder)  # first: it may be refused
            warnings = {*ready.vocabulary.warnings, *ready.warnings}
            report.warnings = [note for note in report.notes if note in warnings]
            sources = sums([*checkpoint.files, *filter(None, [ready.vocabulary.path])])
            total = sum(checkpoint[name].nbytes for step in plan.steps for name in {*step.sources})
            with progress(total) if progress else nullcontext(lambda written: None) as advance:
                unsound: list[str] = []
                report.files = write(
                    folder,
                    plan.steps,
                    checkpoint,
                    dtype=dtype,
                    max_shard_bytes=shard_bytes,
                    metadata=origin(sources),
                    advance=advance,
                    unsound=unsound,
                )
            if unsound:
                report.notes.append(_unsound(unsound, dtype))
                report.warnings.append(report.notes[-1])
            _write_json(folder / "config.json", ready.result)
            report.files += ["config.json", *companions]
            if verify is not None:
                from convert.verify.texts import compare

                lacking: list[str] = []
                report.parity = compare(folder, verify, options=settings.options, notes=lacking)
                report.notes += lacking
                report.warnings += lacking
                advice = _other_gelu(ready, report, folder, verify)
                advice = advice or (HEAD_ADVICE if ready.given.get("heads") else "")
                require(report.parity, advice)
            _write_json(folder / "conversion.json", report.to_dict())
            report.files.append("conversion.json")
            report.files += write_card(
                folder, report, chosen.title, sources, paper=chosen.paper, with_code=with_code
            )
    return report


def _unsound(names: list[str], dtype: str | None) -> str:
    """What to say of tensors with values that are not finite."""
    some = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    why = f"{dtype} cannot represent its values, or the" if dtype else "the"
    return (
        f"{len(names)} tensors of the result contain values that are no finite numbers ({some}): "
        f"{why} training had diverged; such a model computes nothing"
    )


def _other_gelu(
    ready: Prepared, report: Report, folder: Path, verify: str | os.PathLike[str]
) -> str:
    """Where outputs differ, compare them with those of the other gelu as well.

    A record says more of a file than a key of its configuration: of these, the record wins.

    Returns:
        What to say of it where it is no more than advice.
    """
    from convert import gelu
    from convert.verify.texts import compare

    family, _, settings, _ = ready.require()
    if all(one.ok for one in report.parity) or not gelu.plain(family, settings):
        return ""
    form = settings.options["gelu"]
    other = replace(
        settings,
        options=settings.options | {"gelu": gelu.OTHER[form]},
        parts=dict(settings.parts),
        notes=[],
    )
    result = ready.configure(other) | {"dtype": ready.result["dtype"]}
    _write_json(folder / "config.json", result)
    parity = compare(folder, verify, options=other.options, notes=[])
    if not all(one.ok for one in parity):
        return ""
    if ready.meaning is None or not ready.meaning.source.sign:
        return f"With --option gelu={gelu.OTHER[form]} they agree."
    report.parity, report.result = parity, result
    report.options = other.lasting()
    report.defaults["gelu"] = gelu.OTHER[form]
    said = (
        f"the recorded outputs are those of gelu={gelu.OTHER[form]}, which is taken, and not "
        f"those of gelu={form}, which the configuration speaks for"
    )
    gone = [words for words in report.warnings if words.startswith("gelu is taken")]
    report.notes[:] = [words for words in report.notes if words not in gone] + [said]
    report.warnings[:] = [words for words in report.warnings if words not in gone] + [said]
    return ""


def _write_json(path: Path, table: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
