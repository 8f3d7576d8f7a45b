"""Which tensor goes where: exact coverage in both directions, before a byte is read."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from convert.dialects.foreign import ALIKE, foreign
from convert.families.base import HEAD_OPTIONS, PART_OPTIONS, WITHOUT, Family, Settings
from convert.heads.finding import Head, find
from convert.names import layer_weights
from convert.names.leftovers import why_left_over
from convert.names.naming import Naming
from convert.weights.ops import resize, select_rows, shape_after, then
from convert.weights.rows import GROWTH, Row, expand
from convert.weights.steps import Plan, Step
from convert.weights.views import WINDOW
from zoo.errors import IntegrityError, UsageError
from zoo.hints import command, nearest

MORE_LAYERS = 100  # beyond the configuration's, of which tensors may be left over
SHOWN = 12  # leftovers in a message; a whole foreign model should not fill the screen


def make_plan(
    family: Family,
    naming: Naming,
    tensors: Mapping[str, Any],
    settings: Settings,
    allow_unused: Sequence[str] = (),
    claimed: Collection[str] = (),
    advice: Callable[[], str] | None = None,
) -> Plan:
    """Pair every row with its tensor and every tensor with its row.

    Args:
        family: whose table it is.
        naming: what the tensors are called.
        tensors: by stored name, in stored order; their `shape` is looked at, nothing is read.
        settings: the resolved ones.
        allow_unused: patterns (`cls/*`) of stored names that may be left over.
        claimed: stored names that a head of fine-tuning takes.
        advice: gives the options that would convert heads that nothing takes, or nothing.

    Raises:
        IntegrityError: tensors are absent, of another shape, or left over; names all of them.
        UsageError: there is a head of fine-tuning, averages are asked for that are not there, or
            the model computes something else.
    """
    stored = naming.names
    _check_refused(family, stored)
    layers = settings.config["num_hidden_layers"]
    problems: list[str] = []
    steps, used = [], set()
    computed: set[str | None] = set()
    for row in expand(family.rows, settings.parts, layers):
        name = row.name_in(naming.kind)
        if not row.target:
            computed |= {name} & set(stored)
            continue
        if name is None or name not in stored:
            near = nearest(name, stored) if name else None
            hint = f"; the nearest is {near}" if near else ""
            problems.append(f"absent from the checkpoint: {name or row.target}{hint}")
            continue
        used.add(name)
        if naming.kind == "keras" and (problem := _contradiction(row, stored[name])):
            problems.append(problem)
            continue
        shape = tuple(tensors[stored[name]].shape)
        wanted = tuple(_sizes_of(row, settings, settings.source_vocab))
        op = then(naming.op(name), row.op_for(naming.kind))
        found = shape_after(op, shape)
        if found != wanted and _can_resize(found, wanted, settings):
            op = then(op, resize(wanted, GROWTH[row.growth](found, wanted)))
        elif found != wanted:
            problems.append(
                f"of another shape: {stored[name]} is {shape}, which gives {found}; the "
                f"configuration asks for {wanted} ({', '.join(map(str, row.shape))})"
                + _why_not_resized(found, wanted, settings)
            )
            continue
        final = tuple(_sizes_of(row, settings, settings.sizes["vocab"]))
        keep = settings.options["keep_tokens"]
        if row.shape[0] == "vocab" and (keep is not None or settings.compounds):
            op = then(op, select_rows(keep, settings.compounds))
        steps.append(Step((stored[name],), row.target, final, op))
    found_heads = _heads(naming, tensors)
    without = settings.options.get("head") == "none"
    behind: list[Head] = []
    extra: list[str] = []
    takers = _takers(family, naming.kind, layers)
    dropped = dict(naming.dropped)
    for name, original in stored.items():
        if name in used or original in claimed:
            continue
        if name in computed:
            dropped[original] = "computed from the configuration"
            continue
        called = (name, original)
        if reason := _why_dropped(family, called, takers.get(name), settings, allow_unused):
            dropped[original] = reason
            continue
        if head := found_heads.get(original):
            if without:
                dropped[original] = f"{head.title}, left out by head=none"
            elif head not in behind:
                behind.append(head)
            continue
        part = takers.get(name)
        option = PART_OPTIONS.get(part or "")
        hint = f", which {option}=True would take" if option else f" (part {part})" if part else ""
        problems.append(f"not in the map: {original} {tuple(tensors[original].shape)}{hint}")
        extra += problems[-1:] if not part else []
    if problems and problems == extra:
        if (other := foreign(stored, ALIKE)) is not None:
            raise UsageError(
                f"these are names of {other[0]} ({other[1]}), which has all tensors of a "
                f"{family.title} and computes otherwise; it is not converted"
            )
        beyond = set(_takers(family, naming.kind, layers + MORE_LAYERS)) - set(takers)
        if not beyond & set(stored):
            raise IntegrityError(_left_over(family, extra, behind))
    if problems:
        raise IntegrityError(_disagreement(family, problems, behind))
    if behind:
        with_it = advice() if advice is not None else ""
        raise UsageError(
            f"the checkpoint has a head of fine-tuning, which is not converted: "
            f"{'; '.join(map(str, behind))}. To convert the model "
            + (f"with it: {with_it}; " if with_it else "")
            + "without any head: --option head=none"
        )
    if without and not found_heads and not family.options.keys() & set(HEAD_OPTIONS):
        raise UsageError(
            f"head=none: a {family.title} predicts tokens by its own table of them, so there is "
            "no head to leave out; leave the option out"
        )
    _check_averages(naming, steps)
    return Plan(tuple(steps), dropped)


def _check_refused(family: Family, names: Mapping[str, str]) -> None:
    """Raise for a tensor that shows that the model is no such one."""
    for name, stored in names.items():
        for pattern, reason in family.refused:
            if re.search(pattern, name):
                raise UsageError(f"the checkpoint has {stored}: {reason}; it is not converted")


def _contradiction(row: Row, stored: str) -> str | None:
    """What to say where a weight's own name is another than its place among its layer's."""
    offset, wanted = layer_weights.is_offset(stored), row.target.endswith(".bias")
    if offset is None or offset is wanted:
        return None
    words = ("a scale or a map (gamma, kernel)", "an offset (beta, bias)")
    return (
        f"of another kind: {stored} is by its name {words[offset]}, where {row.layer} has "
        f"{words[wanted]} for {row.target}; the names of that layer's weights contradict its place"
    )


def _heads(naming: Naming, tensors: Mapping[str, Any]) -> dict[str, Head]:
    """Tensors of heads of fine-tuning, as stored -> the head."""
    shapes = {stored: tuple(tensors[stored].shape) for stored in naming.names.values()}
    return {stored: head for head in find(naming, shapes) for stored in head.tensors}


def _check_averages(naming: Naming, steps: Sequence[Step]) -> None:
    """Raise where averages are taken and a weight has none."""
    without = [name for step in steps for name in step.sources if name not in naming.averaged]
    if naming.averaged and without:
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        raise UsageError(
            f"averaged=true: of {len(without)} weights there is no average: "
            f"{', '.join(without[:SHOWN])}{more}; without the option the raw weights are taken"
        )


def _can_resize(found: tuple[int, ...], wanted: tuple[int, ...], settings: Settings) -> bool:
    """Whether the option is on, and each axis that grows has whole pairs."""
    return (
        bool(settings.options["autoresize_weights"])
        and len(found) == len(wanted)
        and all(new <= old or old % WINDOW == 0 for old, new in zip(found, wanted, strict=True))
    )


def _why_not_resized(found: tuple[int, ...], wanted: tuple[int, ...], settings: Settings) -> str:
    """What to add where a tensor was to be resized and cannot be."""
    if not settings.options["autoresize_weights"] or len(found) != len(wanted):
        return ""
    odd = [old for old, new in zip(found, wanted, strict=True) if new > old and old % WINDOW]
    return (
        f"; autoresize_weights cannot make it larger: it repeats values in pairs, and {odd[0]} is "
        "an odd number of them"
        if odd
        else ""
    )


def _disagreement(family: Family, problems: list[str], behind: list[Head]) -> str:
    more = len(problems) - SHOWN
    lines = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
    return (
        f"the checkpoint and the map of {family.title} disagree on {len(problems)} tensors:{lines}"
        + (f"\n  and {more} more" if more > 0 else "")
        + "".join(f"\nBehind it is a head of fine-tuning, {head}." for head in behind)
        + "\nIs it the right configuration (--config) and are the options those of the model "
        "(--option KEY=VALUE)? What is to be left out on purpose: --allow-unused PATTERN."
    )


def _left_over(family: Family, extra: list[str], behind: list[Head]) -> str:
    """What to say of a whole model and leftover tensors that nobody knows."""
    more = len(extra) - SHOWN
    names = [line.partition(": ")[2].rpartition(" (")[0] for line in extra]
    scopes = {f"{name.rpartition('/')[0]}/*" if "/" in name else name for name in names}
    patterns = " ".join(command("--allow-unused", scope) for scope in sorted(scopes)[:3])
    return (
        f"all weights of {family.title} are there, and {len(extra)} tensors more:"
        + "".join(f"\n  {line}" for line in extra[:SHOWN])
        + (f"\n  and {more} more" if more > 0 else "")
        + "".join(f"\nBehind it is a head of fine-tuning, {head}." for head in behind)
        + "\nAre they a head of fine-tuning, or of another model? To leave them out: "
        + patterns
        + (" ..." if len(scopes) > 3 else "")
    )


def _sizes_of(row: Row, settings: Settings, vocab: int) -> Iterator[int]:
    sizes = settings.sizes | {"vocab": vocab}
    for size in row.shape:
        yield sizes[size] if isinstance(size, str) else size


def _takers(family: Family, naming: str, layers: int) -> dict[str, str]:
    """Every name that some row would take -> the row's part."""
    everything = {part: True for row in family.rows for part in row.part.split("+")}
    return {
        name: row.part
        for row in expand(family.rows, everything, layers)
        if (name := row.name_in(naming)) is not None
    }


def _why_dropped(
    family: Family,
    called: tuple[str, ...],
    part: str | None,
    settings: Settings,
    allow_unused: Sequence[str],
) -> str | None:
    """Why a tensor, by any of its names, may be left over, or None where it may not."""
    if reason := next(filter(None, map(why_left_over, called)), None):
        return reason
    for words, reason in family.dropped:
        if any(re.search(words, name) for name in called):
            return reason
    for option in map(PART_OPTIONS.get, (part or "").split("+")):
        if option and settings.options.get(option) is False:
            return f"left out by {option}=False"
    if part in WITHOUT.get(settings.options.get("stack", "both"), ()):
        return f"left out: the {settings.options['stack']} alone was asked for"
    for word in allow_unused:
        if any(fnmatch.fnmatchcase(name, word) for name in called):
            return f"allowed by {word}"
    return None
