"""Which layers of a file are which weights of which head, by shapes and order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from convert.heads.kinds import (
    ALWAYS,
    EXACT,
    KINDS,
    LOSSES,
    MULTIPLES,
    NUMBER,
    VALUES,
    Kind,
)
from convert.heads.units import Unit
from convert.weights.ops import KEEP, TRANSPOSE, Op, then
from convert.weights.rows import Row
from zoo.errors import UsageError
from zoo.hints import did_you_mean

#: Scopes of scripts whose map is the start and the end of an answer.
ANSWER = re.compile(r"(^|/)(cls/squad|qa_outputs|span_labeling)$")
#: Tensors of heads that only one kind is, if any -> that kind, and why no other.
NOT_CONVERTED = tuple(
    (re.compile(pattern), kind, reason)
    for pattern, kind, reason in (
        (
            r"(^|[ /])(start_logits|end_logits|answer_class|answerable|is_impossible)/",
            "squad2",
            "of the heads of SQuAD 2, which read the start to find the end, and say whether there "
            "is an answer, those of ALBERT's run_squad_v2.py are, as --head squad2",
        ),
        (
            r"/dense/\S+ (.*/)?out_proj/",
            "classifier",
            "two maps with an activation between them stand behind transformers' ELECTRA and "
            "RoFormer alone, as --head classifier",
        ),
    )
)


@dataclass(frozen=True)
class Fit:
    """A head that was found in a file.

    Attributes:
        kind: of `KINDS`.
        sizes: "labels", "size" ..., as shapes tell them.
        pairs: each row with the stored name, what happens to the tensor, and its shape behind it.
        units: the layers.
    """

    kind: str
    sizes: dict[str, int]
    pairs: list[tuple[Row, str, Op, tuple[int, ...]]]
    units: tuple[Unit, ...]


def fit(name: str, left: Sequence[Unit], hidden: int) -> Fit | None:
    """A head of a kind in the first layers of several; None where it does not fit.

    Args:
        name: of the kind.
        left: the layers, in the order of the file.
        hidden: width of the backbone.
    """
    for rows in KINDS[name].variants:
        layers = [list(group) for _, group in groupby(rows, key=lambda row: row.layer)]
        sizes = {"hidden": hidden, "twice": 2 * hidden}
        if why_not_converted(left[:1], name):
            return None
        if len(layers) <= len(left) and all(
            _fits(group, unit, sizes) for group, unit in zip(layers, left, strict=False)
        ):
            units = tuple(left[: len(layers)])
            pairs = [
                (row, stored, op, shape[::-1] if row.op is TRANSPOSE else shape)
                for group, unit in zip(layers, units, strict=True)
                for row, stored, shape in zip(group, unit.tensors, unit.shapes, strict=True)
                for op in [then(unit.ops.get(stored, KEEP), row.op)]
            ]
            return Fit(name, sizes, pairs, units)
    return None


def _fits(rows: Sequence[Row], unit: Unit, sizes: dict[str, int]) -> bool:
    """Whether a layer has the shapes of its rows; sizes that are met first are put down."""
    wanted = rows[0].layer.partition(" ")[0]
    if unit.base not in ("", wanted) or len(rows) != len(unit.shapes):
        return False
    if unit.scripted and (
        wanted.endswith("global_pointer")
        or (ANSWER.search(unit.name) and rows[0].layer != "dense span")
    ):
        return False
    for row, shape in zip(rows, unit.shapes, strict=True):
        found = shape[::-1] if row.op is TRANSPOSE else shape
        if len(found) != len(row.shape):
            return False
        for size, number in zip(row.shape, found, strict=True):
            if isinstance(size, int):
                if size != number:
                    return False
                continue
            name, factor = MULTIPLES.get(size, (size, 1))
            if number % factor or sizes.setdefault(name, number // factor) != number // factor:
                return False
    return True


def fit_all(tables: Sequence[Mapping[str, Any]], left: Sequence[Unit], hidden: int) -> list[Fit]:
    """Several heads, in the order of the file.

    Args:
        tables: what was asked for, each with its `kind`.
        left: the layers behind the backbone.
        hidden: its width.

    Raises:
        UsageError: a kind is not known or has no such layers, or layers are left over.
    """
    found, place = [], 0
    for number, table in enumerate(tables):
        kind = str(table.get("kind"))
        if kind not in KINDS:
            more = " (several heads: --head KIND for each, in the order of the file)"
            raise UsageError(
                f"no kind of head is called {kind!r}. {did_you_mean(kind, [*KINDS, 'none'])}"
                + (more if kind == "multi_task" else "")
            )
        one = fit(kind, left[place:], hidden)
        if one is None:
            seen = "; ".join(map(str, left[place:])) or "no layer"
            raise UsageError(
                f"head {number + 1}, {kind}: {KINDS[kind].title}, which takes {_shown(kind)}; "
                f"behind the backbone of width {hidden} the file has {seen}. "
                + _other(left[place:], hidden)
            )
        found.append(one)
        place += len(one.units)
    if left[place:]:
        raise UsageError(
            f"{'; '.join(map(str, left[place:]))}: more than the heads that were named "
            f"({', '.join(one.kind for one in found)}). Name a head for each, in the order of the "
            f"file: {propose(left, hidden) or '--head KIND ...'}; --head none leaves all out"
        )
    return found


def why_not_converted(left: Sequence[Unit], kind: str = "") -> str:
    """Why layers are of no kind, where their names tell, but for one of them; else nothing."""
    names = " ".join(sorted(name for unit in left for name in unit.tensors))
    reasons = (
        why for pattern, known, why in NOT_CONVERTED if kind != known and pattern.search(names)
    )
    return next(reasons, "")


def _shown(kind: str) -> str:
    rows = KINDS[kind].variants[0]
    layers = groupby(rows, key=lambda row: row.layer)
    return ", then ".join(
        layer.partition(" ")[2]
        + " "
        + ", ".join(
            f"({', '.join(map(_word, row.shape[:: -1 if row.op is TRANSPOSE else 1]))})"
            for row in group
        )
        for layer, group in layers
    )


def _word(size: str | int) -> str:
    name, factor = MULTIPLES.get(str(size), ("", 1))
    if size == "twice":
        return "2 hidden"
    return f"{factor} {name}" if name else str(size)


def _other(left: Sequence[Unit], hidden: int) -> str:
    if could := [name for name in KINDS if fit(name, left, hidden)]:
        return f"It could be {', '.join(could)}"
    if reason := why_not_converted(left):
        return (
            f"It is not converted: {reason}. --head none converts the backbone without it, "
            "which can be fine-tuned again"
        )
    return "--head none leaves it out"


def kinds_of(left: Sequence[Unit], hidden: int) -> list[list[str]]:
    """For each head in a row of layers the kinds that it can be, those of more layers first.

    Returns:
        Nothing where a layer is of none.
    """
    found, place = [], 0
    while place < len(left):
        fits = [one for name in KINDS if (one := fit(name, left[place:], hidden))]
        if not fits:
            return []
        longest = max(len(one.units) for one in fits)
        found.append([one.kind for one in fits if len(one.units) == longest])
        place += longest
    return found


def propose(left: Sequence[Unit], hidden: int) -> str:
    """The options that convert the heads, as far as shapes tell them; empty where they do not."""
    words = []
    for kinds in kinds_of(left, hidden):
        others = f" (or {', '.join(kinds[1:])})" if len(kinds) > 1 else ""
        words.append(f"--head {kinds[0]}{others}")
    return " ".join(words)


def check_settings(kind: Kind, table: Mapping[str, Any]) -> None:
    """Raise for a setting that a kind of head does not have, or a value of another type.

    Raises:
        UsageError: names what there is.
    """
    known = [*ALWAYS, *kind.asked, *kind.settings]
    for name, value in table.items():
        if name not in known:
            raise UsageError(
                f"{table['kind']} has no setting {name!r}. {did_you_mean(name, known)}"
            )
        choices = kind.asked.get(name, ())
        word = str(value).lower() if isinstance(value, bool) else value
        if choices == (NUMBER,):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"{name} is {value!r}; give a number above 0")
        elif choices and word not in choices:
            raise UsageError(f"{name} is {value!r}; it can be {' or '.join(choices)}")
        elif name in VALUES and not _can_be(value, VALUES[name]):
            raise UsageError(f"{name} is {value!r}; give {VALUES[name]}")
        elif name == "loss":
            losses = LOSSES["classifier" if "activation" in kind.asked else "pointer"]
            if value not in losses:
                raise UsageError(f"loss is {value!r}; it can be {' or '.join(losses)}")


def _can_be(value: Any, words: str) -> bool:
    """Whether a value is what an entry of `VALUES` says."""
    if words == "a table":
        return isinstance(value, Mapping)
    if words.startswith("a list"):
        pairs = "pairs" in words
        inner = "a list of whole numbers" if pairs else "a whole number from 0"
        return isinstance(value, list) and all(
            _can_be(one, inner) and (not pairs or len(one) == 2) for one in value
        )
    kinds = (int,) if "whole" in words else (int, float)
    low = int(words[-1]) if words[-1].isdigit() else None
    return type(value) in kinds and (low is None or value >= low)


def is_exact(kind: str, model_type: str) -> bool:
    """Whether transformers has a class of its own for a head on one of its backbones."""
    return model_type in EXACT.get(kind, {})
