"""What a conversion reports: of every tensor, of what was taken, and where the result is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.advice import Loading, loading
from convert.weights.steps import as_table, parameters
from zoo.hints import literal, python

if TYPE_CHECKING:
    from convert.parity import Parity
    from convert.weights.steps import Plan

NUMBER = re.compile(r"\d+")
PLACE = '"."'  # the folder in which a README stands
TORCH = "import torch"


@dataclass
class Report:
    """What became of a checkpoint.

    Attributes:
        source: what was converted.
        out: the folder made.
        format: of the checkpoint.
        family: bert4keras's name; "layers" of a Keras model that is taken layer by layer.
        architecture: the class that loads the result.
        plan: what became of every tensor.
        unreadable: tensors without numbers, and why.
        defaults: options that nobody gave, with the values taken.
        notes: what a person should know.
        warnings: those of the notes that a person should see in any case.
        files: names in the folder.
        options: those of bert4keras's builder, or of layers, that describe the result.
        heads: kinds of the heads of fine-tuning that an export has.
        config: the legacy configuration, the options that it has a word for merged in.
        parity: outputs compared with recorded ones, where that was asked for.
        result: the `config.json` of the result; empty of an export.
        example: lines of Python that call `model`, for the page of the result.
        model: of a Keras model that is taken layer by layer, what its file says of it.
        release: which published one it is or may be, by what evidence, and what is known of it.
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
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    parity: list[Parity] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    release: dict[str, Any] | None = None
    example: list[str] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON has, without places on this machine."""
        return {
            "source": self.source.name,
            "format": self.format,
            "family": self.family,
            "release": self.release,
            "architecture": self.architecture,
            "parameters": parameters(self.plan.steps),
            "tensors": as_table(self.plan.steps),
            "dropped": self.plan.dropped,
            "unreadable": self.unreadable,
            "defaults": self.defaults,
            "options": self.options,
            "config": self.config,
            "notes": self.notes,
            "warnings": self.warnings,
            "parity": [parity.to_dict() for parity in self.parity],
            **({"model": self.model} if self.model else {}),
        }


def deciding(report: Report) -> list[str]:
    """Defaults taken that change what the result computes, each in words."""
    if not report.defaults:
        return []
    from convert import families  # of texts alone
    from convert.families import settings

    return settings.deciding(families.find(report.family), report.defaults)


def summary(report: Report) -> str:
    """One line: the result, what became of its tensors, what was compared, where the map is."""
    placed = {name for step in report.plan.steps for name in step.sources}
    left = len(report.plan.dropped) + len(report.unreadable)
    counted = f"{len(placed)} placed, {left} left out" if left else "all placed"
    parts = [
        f"{report.architecture.removeprefix('Genae')}, {len(placed) + left} tensors, {counted}"
    ]
    if report.parity:
        largest = max(one.max_relative for one in report.parity)
        parts.append(
            f"{len(report.parity)} recorded outputs agree, to {largest:.1e} of the largest value"
        )
    written = "conversion.json" in report.files
    parts.append("conversion.json has the map" if written else "--map shows the map")
    return f"{report.out}: {'; '.join(parts)}"


def fold(plan: Plan, unreadable: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Lines of (from, to, shape, operation); numbers that differ between layers become `*`.

    Written tensors come first, then what was dropped or cannot be read, with the reason.
    """
    lines = [
        (step.source, step.target, " x ".join(map(str, step.shape)), step.op.name)
        for step in plan.steps
    ]
    lines += [(name, "-", "", reason) for name, reason in plan.dropped.items()]
    lines += [(name, "-", "", reason) for name, reason in unreadable.items()]
    groups: dict[tuple[str, str, str], list[tuple[str, str, str, str]]] = {}
    for line in lines:
        name = NUMBER.sub("*", line[1] if line[1] != "-" else line[0])
        key = (name, line[2], line[3])
        groups.setdefault(key, []).append(line)
    for key, members in groups.items():
        source, target, shape, operation = members[0]
        if len(members) > 1:
            source = NUMBER.sub("*", source)
            target = key[0] if target != "-" else "-"
            operation = f"{operation} ({len(members)} tensors)"
        yield source, target, shape, operation


def block(report: Report) -> list[str]:
    """The lines of Python of a result's README, to be run in its folder."""
    how = _loading(report)
    lines = [*how.imports, "", f"model = {how.call(PLACE)}"]
    plain = not report.options.get("pre_tokenize")  # jieba comes with an extra of genae's
    if "tokenizer.json" in report.files and plain and "transformers" in how.imports[-1]:
        lines[len(how.imports) - 1] += ", AutoTokenizer"
        lines.append(f"tokenizer = AutoTokenizer.from_pretrained({PLACE})")
    return [*([TORCH] if report.example else []), *lines, *report.example]


def load_command(report: Report) -> str:
    """The command that loads a result."""
    how = _loading(report)
    return python(*how.imports, how.call(literal(report.out)))


def build_call(report: Report) -> str:
    """The command that builds, where bert4keras is, what an export has written.

    With heads it builds the backbone alone: layers behind it are the recipe's.
    """
    given = [literal(report.out / "bert_config.json")]
    if report.format == "tf-checkpoint":
        given.append(literal(report.out / "bert_model.ckpt"))
    given += [
        f"{key}={literal(value) if isinstance(value, str) else repr(value)}"
        for key, value in report.options.items()
    ]
    lines = [
        "from bert4keras.models import build_transformer_model",
        f"model = build_transformer_model({', '.join(given)})",
    ]
    if report.format != "tf-checkpoint" and not report.heads:
        lines.append(f"model.load_weights({literal(report.out / 'model.weights')})")
    return python(*lines, "model.summary()")


def _loading(report: Report) -> Loading:
    return loading(report.result, [step.target for step in report.plan.steps])
