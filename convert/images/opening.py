"""A file of a published script: of which family, what it holds, what it becomes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.images.checking import check_architecture, facts, image_inside
from convert.images.families import FAMILIES
from convert.images.fitting import Fit, fit
from convert.images.result import NOT_USED, configuration, plan
from convert.images.rows import Asked, Family
from convert.images.sizes import Image
from convert.images.units import Units, read_units, standing
from convert.layers.opening import find_architecture
from convert.layers.parsing import parse
from convert.layers.settings import MODEL_TYPE as LAYERS
from convert.readers import open_checkpoint
from zoo.errors import GenaeError, IntegrityError, UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from types import TracebackType

    from convert.layers.form import Architecture
    from convert.readers import Checkpoint
    from convert.weights.steps import Plan

#: Options of every family.
SIZE, PART = "image_size", "part"
SIZES = Asked(
    "the height of the images in pixels, which is their width as well", "", 2, 2**16, whole=True
)

#: What a family calls the file of all its parts.
WHOLE = "whole"


@dataclass
class ScriptModel:
    """A file taken for one of a family.

    Attributes:
        path: what was given.
        family: the script.
        checkpoint: the file.
        found: what it holds; nothing where it is none of the family's.
        given: settings that no shapes tell.
        result: the `config.json` to write.
        plan: what becomes of every tensor.
        notes: what a person should know.
        problems: what stops a conversion.
    """

    path: Path
    family: Family
    checkpoint: Checkpoint
    found: Fit | None = None
    given: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[GenaeError] = field(default_factory=list)

    def require(self) -> tuple[Fit, Plan]:
        """What a conversion goes by.

        Raises:
            GenaeError: the first of the problems.
        """
        if self.problems:
            raise self.problems[0]
        assert self.found is not None
        assert self.plan is not None
        return self.found, self.plan

    def __enter__(self) -> ScriptModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.checkpoint.close()


def open_script(
    source: str | os.PathLike[str],
    family: str,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    allow_unused: Sequence[str] = (),
) -> ScriptModel:
    """The model of a published script that a file means.

    Args:
        source: weights in any form of Keras's, or a whole file.
        family: a key of `FAMILIES`.
        config: the JSON of `model.to_json()`, where the source has weights alone.
        options: `image_size`, `part` and what the family asks for.
        allow_unused: patterns of tensors that may be left over.

    Returns:
        The model, with what stops its conversion; to be closed, or used in a `with`.

    Raises:
        GenaeError: the file cannot be read.
    """
    path = Path(os.path.expanduser(source))
    script = FAMILIES[family]
    model = ScriptModel(path, script, open_checkpoint(path))
    try:
        given = _checked(script, dict(options or {}))
        units = read_units(model.checkpoint, allow_unused)
        architecture = _architecture(model, config)
        model.found = _choose(model, units, architecture, given)
        if units.left:
            raise IntegrityError(
                f"{path}: {units.left[0]!r} belongs to no layer that the file lists; save the "
                "weights again"
            )
        _resolve(model, units, architecture, given)
    except GenaeError as error:
        model.problems.append(error)
    model.notes += model.checkpoint.notes
    return model


def _checked(family: Family, given: dict[str, Any]) -> dict[str, Any]:
    """The options, if the family has them.

    Raises:
        UsageError: it has not, or they have a wrong value.
    """
    known = [SIZE, PART, *family.asked, *family.taken]
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"{name!r} is no option of the family {family.name}. {did_you_mean(name, known)}"
            )
        if name == PART:
            if value not in family.files:
                raise UsageError(f"part is {value!r}. {did_you_mean(str(value), [*family.files])}")
        elif wrong := _wrong(family, name, value):
            raise UsageError(f"{name} is {value!r}, not {wrong}")
    return given


def _wrong(family: Family, name: str, value: Any) -> str:
    """What the value of an option should be, where it is something else."""
    what = SIZES if name == SIZE else family.asked.get(name, Asked(""))
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not (what.low <= value <= what.high and 0 < value < math.inf):
        high = "" if what.high == math.inf else f" to {what.high:g}"
        return f"a number from {what.low:g}{high}" if what.low or high else "a number above 0"
    return "a whole number" if what.whole and value != int(value) else ""


def _architecture(model: ScriptModel, config: Any) -> Architecture | None:
    """The architecture that the file has, or that was given; weights do without."""
    try:
        source = find_architecture(model.path, config, beside=False)
        return None if source is None else parse(source)
    except GenaeError as error:
        if config is not None:
            raise
        model.notes.append(f"the file's architecture is not compared: {error}")
        return None


def _choose(
    model: ScriptModel, units: Units, architecture: Architecture | None, given: Mapping[str, Any]
) -> Fit:
    """What a file holds.

    Raises:
        IntegrityError: nothing of the family's.
        UsageError: that cannot be told from its shapes.
    """
    family, wanted = model.family, given.get(PART)
    size = int(given.get(SIZE, 0))
    fits, misfits = fit(family, units, Image(size), wanted)
    if len(fits) == 1 and architecture is not None:
        check_architecture(fits[0], architecture, model.path)
        inside = image_inside(fits[0], architecture, model.path)
        if size and inside.size not in (0, size):
            raise UsageError(
                f"{model.path}: its images have {inside.size} pixels a side; leave --option "
                f"{SIZE}={size} out"
            )
        fits, misfits = fit(family, units, Image(inside.size or size, inside.channels), wanted)
    if not fits:
        others = proposals(units)
        layers = f"Its layers with weights: {standing(units.found)}"
        raise IntegrityError(
            f"{model.path}: not a file of the family {family.name}: {misfits[0]}. "
            + (f"The shapes fit {others}" if others else layers)
        )
    if len(fits) > 1:
        ways = " or ".join(f"--option {PART}={_quoted(one.holds)}" for one in fits)
        raise UsageError(
            f"{model.path}: by its shapes it is {' or '.join(one.holds for one in fits)} of "
            f"{family.name}; say which: {ways}"
        )
    return fits[0]


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word


def fitting(units: Units) -> dict[str, list[str]]:
    """The families that shapes fit, each with what the file then holds.

    Of parts that become graphs of layers only encoders: two dense layers fit any classifier.
    """
    found = {
        name: [
            one.holds
            for one in fit(family, units, Image())[0]
            if one.file.model != LAYERS or one.holds.endswith("encoder")
        ]
        for name, family in FAMILIES.items()
    }
    return {name: holds for name, holds in found.items() if holds}


def proposals(units: Units) -> str:
    """The same in words; empty for none."""
    found = fitting(units).items()
    return " or ".join(f"--family {name} ({' or '.join(holds)})" for name, holds in found)


def note_whole(notes: list[str], checkpoint: Checkpoint) -> None:
    """Note the scripts whose whole models have a file's shapes, where layers are taken as such."""
    found = fitting(read_units(checkpoint)).items()
    names = [f"--family {name}" for name, holds in found if WHOLE in holds]
    if names:
        notes.append(f"as a model of images of a published script: {' or '.join(names)}")


def propose(problems: list[GenaeError], checkpoint: Checkpoint) -> None:
    """Add to what stops a conversion the families of scripts whose shapes a file has.

    Args:
        problems: where the file was taken for something else; nothing is added to none.
        checkpoint: the file.
    """
    if problems and (names := proposals(read_units(checkpoint))):
        first = problems[0]
        problems[0] = type(first)(
            f"{first}\nThe shapes fit an image model of a published script: {names}"
        )


def _resolve(
    model: ScriptModel, units: Units, architecture: Architecture | None, options: Mapping[str, Any]
) -> None:
    """Settings, configuration and plan.

    Raises:
        UsageError: something that no shapes tell was not given.
    """
    found, family = model.found, model.family
    assert found is not None
    if found.file.note:
        model.notes.append(found.file.note)
    left = dict.fromkeys(units.training, NOT_USED)
    left |= {name: NOT_USED for unit in found.left for name in unit.tensors}
    if found.file.model != LAYERS:
        known = facts(architecture) if architecture is not None else {}
        known |= _scalars(model, found)
        asked = {name: one for name, one in family.asked.items() if one.part in ("", *found.parts)}
        given = known | {name: value for name, value in options.items() if name in asked}
        missing = {name: one.words for name, one in asked.items() if name not in given}
        if not found.image.size:
            missing[SIZE] = SIZES.words
        if missing:
            lines = "".join(f"\n  --option {name}=N: {words}" for name, words in missing.items())
            raise UsageError(
                f"{model.path}: this file of {family.name} ({found.holds}) does not say all that "
                f"the result needs; give{lines}"
            )
        model.given = {
            name: int(given[name]) if one.whole else given[name] for name, one in asked.items()
        }
        trains = {"encoder", "decoder"} <= found.parts.keys()
        for name, value in family.taken.items() if trains else ():
            model.given[name] = options.get(name, value)
            if name not in options:
                model.notes.append(
                    f"{name}={value} is the script's, as no file says it; --option {name}=N gives "
                    "another"
                )
    try:
        model.result = configuration(found, model.given)
    except ValueError as error:
        raise UsageError(f"{model.path}: {error}") from None
    model.plan = plan(found, left)


def _scalars(model: ScriptModel, found: Fit) -> dict[str, Any]:
    """Settings that a file keeps as a number of its own: one of what the family asks for."""
    if len(found.left) == 1 and model.family.scalar:
        (name,) = found.left[0].tensors
        value = float(model.checkpoint[name].numpy())
        return {model.family.scalar: value} if 0 < value < math.inf else {}
    return {}
