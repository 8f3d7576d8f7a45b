"""Which of several checkpoints in a folder is meant: the first kind, where all hold the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import preparing
from convert.readers import SeveralCheckpointsError, open_checkpoint
from zoo.errors import GenaeError, UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from convert.readers import Checkpoint

#: Kinds of checkpoints by the forms they have; the first of which there is one is taken.
KINDS = {"tensorflow": ("tf_bundle", "tf_object", "tf_v1"), "keras": ("keras_hdf5", "keras3")}

#: Shapes of a result's tensors by name, of each family that the files fit.
Contents = dict[str, dict[str, tuple[int, ...]]]


def open_one(
    source: str | os.PathLike[str],
    prefer: str | None = None,
    *,
    verify_checksums: bool = True,
    **request: Any,
) -> Checkpoint:
    """Open what a path means, also where it is a folder with several checkpoints.

    The one of the first kind in `KINDS` is taken if the weight tables make the same tensors of all
    of them, by names and shapes; values are not read.

    Args:
        source: as `convert.open_checkpoint`.
        prefer: the kind to take, whatever the others hold.
        verify_checksums: as `convert.open_checkpoint`.
        **request: what was asked of the conversion, as `preparing.prepare`.

    Raises:
        SeveralCheckpointsError: they differ, or there are several of the kind.
        UsageError: there is no such kind.
        GenaeError: as `convert.open_checkpoint`; or what stops the conversion of the first.
    """
    if prefer is not None and prefer not in KINDS:
        raise UsageError(f"prefer is {prefer!r}. {did_you_mean(prefer, KINDS)}")
    try:
        return open_checkpoint(source, verify_checksums=verify_checksums)
    except SeveralCheckpointsError as error:
        several = error
    if not several.of_one_folder:
        raise several
    taken, others, kind = _first(several, prefer)
    if prefer is None:
        _check_same(several, taken, others, request)
    checkpoint = open_checkpoint(taken, verify_checksums=verify_checksums)
    why = f"--prefer {prefer}" if prefer else "all hold the same tensors, by names and shapes"
    passed = ", ".join(Path(other).name for other in others)
    other = next(name for name in KINDS if name != kind)
    step = "" if prefer else f"; --prefer {other} takes the other kind"
    checkpoint.notes.insert(
        0, f"taken: {Path(taken).name} ({why}); passed over: {passed or 'none'}{step}"
    )
    return checkpoint


def _first(several: SeveralCheckpointsError, prefer: str | None) -> tuple[str, list[str], str]:
    """The choice of the first kind, the other choices, and the kind."""
    kinds: dict[str, list[str]] = {}
    for choice in several.choices:
        with open_checkpoint(choice) as checkpoint:
            kind = next(name for name, forms in KINDS.items() if checkpoint.format in forms)
        kinds.setdefault(kind, []).append(choice)
    kind = prefer or next(name for name in KINDS if name in kinds)
    found = kinds.get(kind, [])
    if not found:
        raise UsageError(f"{several.folder} contains no checkpoint of {kind}; leave --prefer out")
    if len(found) > 1:
        raise several.among(found, "of the same kind, whose values may differ")
    return found[0], [choice for choice in several.choices if choice not in found], kind


def _check_same(
    several: SeveralCheckpointsError,
    taken: str,
    others: list[str],
    request: Mapping[str, Any],
) -> None:
    """Raise unless all choices become the same tensors, in a family that all fit."""
    own, problem = _contents(taken, request)
    if not own and problem is not None:
        raise problem
    for other in others:
        theirs, problem = _contents(other, request)
        shared = [family for family in own if family in theirs]
        if not shared:
            reason = "" if problem is None else f": {problem}"
            raise several.among(
                several.choices, f"{Path(other).name} holds something else{reason}"
            )
        for family in shared:
            differing = sorted(own[family].items() ^ theirs[family].items())
            if differing:
                name = differing[0][0]
                raise several.among(
                    several.choices, f"{Path(taken).name} and {Path(other).name} differ in {name}"
                )


def _contents(choice: str, request: Mapping[str, Any]) -> tuple[Contents, GenaeError | None]:
    """What a choice becomes, and what stops its conversion, if anything does."""
    found: Contents = {}
    problem: GenaeError | None = None
    with open_checkpoint(choice) as checkpoint:
        try:
            ready = preparing.prepare(choice, checkpoint, **request)
            for family, _ in ready.pairs:
                one = ready
                if len(ready.pairs) > 1:  # undecided, which is said when one of them is taken
                    one = preparing.prepare(
                        choice, checkpoint, **{**request, "family": family.name}
                    )
                if one.plan is not None:
                    found[family.name] = {step.target: step.shape for step in one.plan.steps}
            problem = next(iter(ready.problems), None)
        except GenaeError as error:
            problem = error
    return found, problem
