"""Which family a checkpoint is of, and its settings: the files are asked, then the person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from convert import families
from convert.dialects import DIALECTS, translated
from convert.dialects.foreign import foreign, foreign_type
from convert.families import Family, Settings
from convert.identify import unknown
from convert.identify.averages import as_stored, averages_of, in_place
from convert.identify.by_order import match
from convert.names.naming import Naming, naming_of, scopes_of
from zoo.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from convert.readers import Checkpoint

Pair = tuple[Family, Naming]


def candidates(
    name: str | None,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[Pair]:
    """Every family that a checkpoint could be of, with what its tensors are called there.

    Args:
        name: of the family; None asks the files.
        checkpoint: the files.
        config: the legacy configuration; only names that mean nothing need it.
        options: those given to the builder.

    Raises:
        IntegrityError: names mean nothing, and shapes and order are of no family.
        UsageError: no family has this name, the configuration is another family's, or averages are
            asked for that are not there.
    """
    averages = averages_of(checkpoint)
    wanted = _wants_averages(options, averages, checkpoint)
    if not wanted:
        found = _candidates(name, checkpoint, config, options)
        if found and averages:
            return [(family, replace(one, notes=(*one.notes, KEPT))) for family, one in found]
        raw = not averages or any(stored in checkpoint for stored in averages)
        if found or raw:
            return found
    found = _candidates(name, in_place(checkpoint, averages), config, options)
    return [(family, as_stored(one, averages, checkpoint)) for family, one in found]


#: The names of all families.
KNOWN = tuple(family.name for family in families.FAMILIES)
#: What is said of a checkpoint with averages.
KEPT = "averaged weights are left out; --option averaged=true takes them in place of the raw ones"


def _wants_averages(
    options: Mapping[str, Any], averages: Mapping[str, str], checkpoint: Checkpoint
) -> bool:
    """Whether averages are asked for, and are there."""
    wanted = options.get("averaged")
    if wanted not in (None, True, False):
        raise UsageError(f"averaged is {wanted!r}; it can be true or false")
    if wanted and not averages:
        raise UsageError(
            f"averaged=true: {checkpoint.files[0].name} has no averaged weights "
            "(.../ExponentialMovingAverage); leave the option out"
        )
    return bool(wanted)


def _candidates(
    name: str | None,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[Pair]:
    """As `candidates`, whatever the weights are called."""
    file = checkpoint.files[0].name
    if name is None and (kind := foreign_type(config, checkpoint, file)) is not None:
        raise UsageError(
            f"{file} is another model of transformers: its configuration says model_type "
            f"{kind!r}, which is not converted; the known families are {', '.join(KNOWN)}. If "
            "that is the wrong configuration, give the right one (--config)"
        )
    naming = naming_of(checkpoint)
    plain = () if naming.kind == "order" else (naming, *scopes_of(naming, families.telltales()))
    other: Naming | None = None  # the first dialect, whatever its family
    for one in chain(plain, translated(DIALECTS, checkpoint)):
        other = other or (one if one.dialect else None)
        fitting = families.fitting(one.names)
        said = one.family(config) if one.family is not None and name is None else None
        if said is not None and families.find(said).fits(one.names):
            return [(families.find(said), one)]
        if name is not None and families.find(name).fits(one.names):
            return [(families.find(name), one)]
        if name is None and fitting:
            return [
                (family, _why(one, family, fitting, config))
                for family in _decided(fitting, config)
            ]
    if naming.kind == "order" and name is None and unknown.has_no_tokens(checkpoint, naming):
        return []
    if naming.kind == "order":
        try:
            return match(name, naming, checkpoint, config, options)
        except IntegrityError:
            if name is None or other is None:
                raise
    return [(families.find(name), other or naming)] if name is not None else []


def _why(
    naming: Naming, family: Family, fitting: list[Family], config: Mapping[str, Any]
) -> Naming:
    """The naming with a note where the configuration, not the files, decided the family."""
    if len(fitting) < 2 or not family.is_named_by(config):
        return naming
    note = f"{family.title}, as the configuration says; the names alone do not decide it"
    return replace(naming, notes=(*naming.notes, note))


def _decided(fitting: list[Family], config: Mapping[str, Any]) -> list[Family]:
    """Of the families that fit, those that the configuration names, if it names any.

    Raises:
        UsageError: it says what is true of another family alone.
    """
    named = [family for family in fitting if family.is_named_by(config)]
    others = [family for family in families.FAMILIES if family.contradicts(config, fitting)]
    if fitting and others and not named:
        key, value = next(iter(others[0].says.items()))
        raise UsageError(
            f"the configuration says {key}: {json.dumps(value)}, as {others[0].title}'s do, but "
            f"the tensors are those of {' or '.join(family.title for family in fitting)}: is it "
            f"the right configuration (--config)? If it is, name the family: --family "
            f"{fitting[0].name}"
        )
    return named or fitting


#: Forms in which Keras saves weights, whatever the model.
OF_KERAS = ("keras_hdf5", "keras3", "tf_object")


def choose(
    name: str | None,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Pair:
    """The family that was named, or the only one that fits; arguments as `candidates`.

    Raises:
        IntegrityError: as `candidates`.
        UsageError: none fits, or several do and nothing decides; the message names them.
    """
    return only(candidates(name, checkpoint, config, options), checkpoint)


def only(found: list[Pair], checkpoint: Checkpoint) -> Pair:
    """The one family of several that fit a checkpoint.

    Raises:
        UsageError: there is none, or there are several.
    """
    if not found:
        some = ", ".join(list(checkpoint)[:3])
        known = ", ".join(KNOWN)
        what = f"{checkpoint.files[0].name}: {unknown.what_it_is(checkpoint)}"
        if (other := foreign(checkpoint)) is not None:
            raise UsageError(
                f"these are names of {other[0]} ({other[1]}), which is not converted; the known "
                f"families are {known}. {what}"
            )
        near = unknown.nearest(checkpoint)
        if checkpoint.format in OF_KERAS and not near:
            raise UsageError(
                f"{what}. No architecture is in it: give the JSON of model.to_json() with "
                f"--config FILE. Its tensors ({some} ...) fit no family of texts; if they are of "
                f"one all the same, name it with --family: {known}"
            )
        raise UsageError(
            f"these tensors are of no family that is known ({known}). {what}; the first are {some}"
            + (f"; {near}" if near else "")
            + ". If they are of one of these families all the same, name it: --family NAME"
        )
    if len(found) > 1:
        raise UsageError(several(found))
    return found[0]


def several(found: list[Pair]) -> str:
    """What to say where more than one family fits."""
    words = " or ".join(f"--family {family.name}" for family, _ in found)
    return f"the files fit several families and do not decide: give {words}"


def resolve_settings(
    family: Family,
    naming: Naming,
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    options: Mapping[str, Any],
    has_words: bool = False,
) -> Settings:
    """The resolved settings of a conversion; arguments as `families.resolve_settings`.

    Args:
        family: the family.
        naming: what the tensors are called.
        checkpoint: the files.
        config: the legacy configuration.
        options: those given to the builder.
        has_words: whether its vocabulary is a list of tokens, not a SentencePiece model.

    Raises:
        UsageError: as `families.resolve_settings`, or nothing tells whose model it is.
    """
    if has_words:
        _ask_whose(family, options)
    shapes = shapes_of(naming, checkpoint)
    if naming.config is not None:
        config = naming.config(config, shapes)
    return families.resolve_settings(family, naming.kind, shapes, config, options)


def shapes_of(naming: Naming, checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors by the names that rows use."""
    return naming.shapes(checkpoint)


def _ask_whose(family: Family, options: Mapping[str, Any]) -> None:
    """Raise where nothing tells whether Google or bert4keras trained a model with a BERT's tokens.

    T5-PEGASUS has mT5's tensors with the vocabulary of a BERT, and computes otherwise.
    """
    if "semantics" in family.options and "semantics" not in options:
        raise UsageError(
            f"a {family.title} checkpoint with a vocab.txt and no SentencePiece model, as "
            "T5-PEGASUS: was it trained in bert4keras (--option semantics=bert4keras) or is it "
            "Google's (--option semantics=google)?"
        )
