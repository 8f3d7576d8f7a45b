"""What a dialect is: other names for the same layers, in one table of rules.

A rule says of a stored name what the family's rows call that tensor, and by what operation it gets
the shape that they expect. The operations of the rows come after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.names.naming import Naming, Shapes, layers_of
from convert.weights.ops import KEEP, Op, shape_after
from zoo.errors import IntegrityError

if TYPE_CHECKING:
    from convert.families.base import Settings
    from convert.readers import Checkpoint
    from convert.weights.lazy import LazyTensor

#: An operation that needs other tensors of the checkpoint: of the rule's match and of the lazy
#: tensors by the names that rules read.
Making = Callable[["re.Match[str]", Mapping[str, "LazyTensor"]], Op]
#: What gives the names that rules read -> the names as stored.
Reading = Callable[["Checkpoint"], dict[str, str]]


@dataclass(frozen=True)
class Rule:
    r"""One line of a dialect's table.

    Attributes:
        pattern: of the whole name; `(?P<i>\d+)` is the number of the block.
        name: what rows call the tensor; `{i}` is the number of the block from 0, `{word}` any
            other named group. Empty where the tensor is left out.
        op: what happens to the tensor before the row's own operation.
        dropped: why it is left out.
    """

    pattern: str
    name: str = ""
    op: Op | Making = KEEP
    dropped: str = ""


@dataclass(frozen=True)
class Dialect:
    """Another way of writing the same layers.

    Attributes:
        name: one word.
        title: whose names they are ("Google's Model Garden (TensorFlow 2)").
        telltale: pattern of the end of a name that only this dialect has; what stands before it,
            up to a `/`, is the scope of a wrapper and is read over.
        rules: the table, of names inside the scope; every rule whose pattern is a tensor's whole
            name applies to it, so that one tensor may become several. A tensor without a rule
            keeps its name.
        outer: the same of names outside the scope, or under the scope that this one lies in.
        kind: "tensorflow" where rules give TensorFlow's names, "keras" where they give
            `Layer#slot`.
        reads: "names", as stored without `:0` and the like; "layers", of a Keras file `layer#slot`
            and, behind a blank, the weight's own name in that layer (`MLM-Norm#0 beta`); "full",
            the names of variables that an object graph remembers; or what gives names -> the names
            as stored.
        first: the number that the first block has; None is the smallest that there is.
        blocks: how many there must be; None is any number.
        config: what the dialect changes in the legacy configuration, made of it and of the
            shapes by the names that rows use.
        heads: name by rows of a tensor whose axis 1, as stored, is that of attention heads.
        result: what the dialect changes in the `config.json` of the result, made of it and of
            the resolved settings of the conversion.
        family: the family that a configuration of the dialect says, where files fit several that
            are equal; None leaves it to the files.
        notes: more to say of the result.
    """

    name: str
    title: str
    telltale: str
    rules: tuple[Rule, ...]
    outer: tuple[Rule, ...] = ()
    kind: str = "tensorflow"
    reads: str | Reading = "names"
    first: int | None = 0
    blocks: int | None = None
    config: Callable[[Mapping[str, Any], Shapes], dict[str, Any]] | None = None
    heads: str | None = None
    result: Callable[[dict[str, Any], Settings], dict[str, Any]] | None = None
    family: Callable[[Mapping[str, Any]], str | None] | None = None
    notes: tuple[str, ...] = ()


def translated(dialects: Sequence[Dialect], checkpoint: Checkpoint) -> Iterator[Naming]:
    """The names of a checkpoint as each dialect that it could be in has them.

    Args:
        dialects: to try, in this order.
        checkpoint: whose tensors they are.
    """
    read: dict[str | Reading, dict[str, str]] = {}
    for dialect in dialects:
        if dialect.reads not in read:
            read[dialect.reads] = readable(dialect.reads, checkpoint)
        names = read[dialect.reads]
        for scope in _scopes(dialect, names):
            found = _translate(dialect, scope, names, checkpoint)
            if found is not None:
                yield found


def readable(reads: str | Reading, checkpoint: Checkpoint) -> dict[str, str]:
    """The names that rules read -> the names as stored."""
    if not isinstance(reads, str):
        return reads(checkpoint)
    if reads == "layers":
        numbered = {
            f"{layer}#{slot} {SUFFIX.sub('', name).rpartition('/')[2]}": name
            for layer, tensors in layers_of(checkpoint)
            for slot, name in enumerate(tensors)
        }
        rest = set(checkpoint) - set(numbered.values()) if numbered else set()
        return numbered | {name: name for name in checkpoint if name in rest}
    if reads == "full":
        called = [checkpoint.full_names.get(name, name) for name in checkpoint]
        once = {name for name, count in Counter(called).items() if count == 1}
        if not checkpoint.full_names:
            return {}
        return {
            SUFFIX.sub("", full if full in once else name): name
            for full, name in zip(called, checkpoint, strict=True)
        }
    return {SUFFIX.sub("", name): name for name in checkpoint}


#: What is behind a name and says nothing.
SUFFIX = re.compile(r"(/\.ATTRIBUTES/VARIABLE_VALUE|:0)$")
#: A weight by its layer and place, as "layers" are read.
PLACE = re.compile(r"(.+#\d+) .*")


def _scopes(dialect: Dialect, names: Mapping[str, str]) -> dict[str, None]:
    """The scopes that a wrapper may have put before the dialect's names."""
    telltale = re.compile(rf"(?P<scope>(?:.*/)?){dialect.telltale}")
    found = (telltale.fullmatch(name) for name in names)
    return {match["scope"]: None for match in found if match}


def _translate(
    dialect: Dialect, scope: str, names: Mapping[str, str], checkpoint: Checkpoint
) -> Naming | None:
    """The checkpoint in the rows' words, or None where it is not in this dialect.

    That is where two tensors would have one name, or where one has other axes.
    """
    tensors = {name.removeprefix(scope): checkpoint[stored] for name, stored in names.items()}
    around = re.escape(scope[: scope.rstrip("/").rfind("/") + 1])
    matches = [
        (name, rule, match)
        for name in names
        for rule, match in (
            *(
                (rule, re.fullmatch(re.escape(scope) + rule.pattern, name))
                for rule in dialect.rules
            ),
            *(
                (rule, re.fullmatch(f"(?:{around})?" + rule.pattern, name))
                for rule in dialect.outer
            ),
        )
        if match
    ]
    numbers = {int(match["i"]) for _, _, match in matches if "i" in match.re.groupindex}
    if dialect.blocks is not None and len(numbers) != dialect.blocks:
        return None
    first = min(numbers, default=0) if dialect.first is None else dialect.first
    if min(numbers, default=first) < first:
        return None
    known = {name for name, _, _ in matches}
    translation = {
        PLACE.sub(r"\1", name.removeprefix(scope)): stored
        for name, stored in names.items()
        if name not in known
    }
    if len(translation) != len(names) - len(known):
        return None
    ops: dict[str, Op] = {}
    dropped: dict[str, str] = {}
    for name, rule, match in matches:
        if not rule.name:
            dropped[names[name]] = rule.dropped
            continue
        groups = match.groupdict()
        if "i" in groups:
            groups["i"] = str(int(groups["i"]) - first)
        canonical = rule.name.format(**groups)
        if canonical in translation:
            return None
        translation[canonical] = names[name]
        op = rule.op if isinstance(rule.op, Op) else rule.op(match, tensors)
        if op is KEEP:
            continue
        try:
            shape_after(op, checkpoint[names[name]].shape)
        except IntegrityError:  # of other axes than the dialect has
            return None
        ops[canonical] = op
    notes = [f"names of {dialect.title}, read as those of the original", *dialect.notes]
    if scope:
        notes.append(f"names are read without {scope}, which a wrapper put before them")
    counted = translation.get(dialect.heads or "")
    axes = checkpoint[counted].shape if counted else ()
    return Naming(
        dialect.kind,
        translation,
        notes=tuple(notes),
        ops=ops,
        dropped=dropped,
        config=dialect.config,
        result=dialect.result,
        heads=axes[1] if len(axes) == 3 else None,
        family=dialect.family,
        dialect=dialect.name,
    )
