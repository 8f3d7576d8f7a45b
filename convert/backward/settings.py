"""What a model's folder was in bert4keras: the family, the settings, and the builder's call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convert import families
from convert.backward.legacy_config import (
    GOOGLE,
    UNSAID,
    differences,
    done_with,
    families_of,
    legacy_config,
    legacy_options,
)
from convert.backward.pairs import Pairing, legacy_shapes, pair_all
from convert.families import Family, Settings
from convert.families.base import COMMON, HEADS
from convert.weights.rows import PLACE
from zoo.errors import IntegrityError, UsageError

#: Options that are done with: the tensors are already what they asked for.
APPLIED = {*COMMON, "semantics", "stack", *HEADS, "with_discriminator", "with_lm"}

#: Parts -> bert4keras's option for them.
BUILT = {"pooler": "with_pool", "nsp": "with_nsp", "mlm": "with_mlm"}
BUILT |= {"discriminator": "with_discriminator"}


def decide(
    config: Mapping[str, Any],
    recorded: Mapping[str, Any],
    tensors: Mapping[str, Any],
    name: str | None,
    options: Mapping[str, Any],
    allow_unused: Sequence[str],
    naming: str,
) -> tuple[Pairing, list[str]]:
    """The family with its settings and pairs, and notes.

    Families that Keras's names do not part are one there.

    Raises:
        UsageError: none fits, or several do.
        IntegrityError: the one that was meant does not fit.
    """
    name = name or (recorded.get("family") if isinstance(recorded.get("family"), str) else None)
    known = families_of(config)
    names = (name,) if name else known
    found, errors = {}, []
    for family in map(families.find, names):
        try:
            settings, notes = _resolve(family, config, recorded, tensors, options)
            pairing = pair_all(family, settings, tensors, config, allow_unused)
        except (UsageError, IntegrityError) as error:
            errors.append(error)
        else:
            found[family.name] = pairing, notes
    if not found:
        raise errors[0]
    for twin in families.twins(found) if naming == "keras" else ():
        del found[twin]
    if len(found) > 1:
        words = " or ".join(f"--family {word}" for word in found)
        raise UsageError(f"the folder fits several families and does not decide: give {words}")
    ((decided),) = found.values()
    return decided


def _resolve(
    family: Family,
    config: Mapping[str, Any],
    recorded: Mapping[str, Any],
    tensors: Mapping[str, Any],
    options: Mapping[str, Any],
) -> tuple[Settings, list[str]]:
    """The settings in force, if the folder is of this family."""
    then, before = recorded.get("options"), recorded.get("config")
    given = legacy_options(config, family)
    if isinstance(then, Mapping):
        given |= {
            name: then[name]
            for name in UNSAID
            if name in family.options and isinstance(then.get(name), (str, *UNSAID[name]))
        }
    legacy = legacy_config(config)
    legacy = (dict(before) if isinstance(before, Mapping) else {}) | legacy
    shapes = legacy_shapes(family, tensors, config)
    settings = families.resolve_settings(family, "keras", shapes, legacy, given | dict(options))
    layers = settings.config["num_hidden_layers"]
    if any(PLACE.search(row.layer) for row in family.rows) and layers > len(tensors):
        raise IntegrityError(
            f"num_hidden_layers is {layers} in config.json, and there are {len(tensors)} tensors"
        )
    notes = differences(config, family.config(settings))
    notes += [
        f"{what}: they stay so, and the result is loaded without these options"
        for what in done_with(recorded)
    ]
    if settings.options.get("semantics") == "google":
        notes.append(GOOGLE)
    return settings, notes


def builder(family: Family, settings: Settings) -> dict[str, Any]:
    """What `build_transformer_model` needs besides the files."""
    parts, options = settings.parts, settings.options
    stacks = [stack for stack in ("encoder", "decoder") if parts.get(stack)]
    ending = f"_{stacks[0]}" if len(stacks) == 1 else ""
    call: dict[str, Any] = {"model": f"{family.name}{ending}"}
    for part, option in BUILT.items():
        given = options.get(option)
        if parts.get(part) and option in family.options:
            call[option] = given if isinstance(given, str) else True
    call |= {
        key: value
        for key, value in options.items()
        if key not in APPLIED and value != family.options[key]
    }
    if options.get("semantics") == "google" and "decoder" in stacks:
        call["cross_position_bias"] = False
    if "decoder" in stacks and options.get("with_lm") not in (None, True):
        call["with_lm"] = options["with_lm"]
    return call
