"""A report for a person: the lines of all layers folded into one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.converting import Report

NUMBER = re.compile(r"\d+")


def fold(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Lines of (from, to, shape, operation); numbers that differ between layers become `*`.

    Written tensors come first, then what was dropped or cannot be read, with the reason.
    """
    lines = [
        (step.source, step.target, " x ".join(map(str, step.shape)), step.op.name)
        for step in report.plan.steps
    ]
    lines += [(name, "-", "", reason) for name, reason in report.plan.dropped.items()]
    lines += [(name, "-", "", reason) for name, reason in report.unreadable.items()]
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
