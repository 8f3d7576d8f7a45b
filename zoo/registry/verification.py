"""The check of what lies in a model's folder; what its files say, without torch."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import CARD_FILE, Card
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UnsafeError, UsageError
from zoo.header import elements, inspect, safetensors_header
from zoo.registry import manifest, signing
from zoo.registry.names import here, parse
from zoo.registry.remedies import ACCEPT, Problem, remedy
from zoo.registry.snapshots import in_cache
from zoo.registry.transfer import check_sums, locate, stated_of
from zoo.registry.types import Report


def verify(
    name: str | os.PathLike[str], revision: str | None = None, *, source: str | None = None
) -> Report:
    """Check that files, manifest, safetensors header, card and catalog agree; works offline.

    Nothing is imported but the standard library, or huggingface_hub where the model lies in its
    cache. That the weights fit the model that `config.json` describes is checked before a push
    and by every loading.

    Of another owner's model without a manifest the checksums from its registry are compared.

    Args:
        name: an id or a folder.
        revision: of an id: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.

    Returns:
        A report with every difference found.

    Raises:
        NotFoundError: no such model, or it is not published.
        UnsafeError: there is a pickle, or the manifest names a path outside the folder.
    """
    folder = locate(name, revision, source=source)
    asked = os.fspath(name)
    report = examine(folder, asked if here(asked) else parse(asked, revision).id)
    if here(asked) and report.problems:
        report.remedy = remedy(folder, report.problems)
    try:
        signing.check(folder)
    except IntegrityError as error:
        report.problems.append(str(error))
    return report


def examine(
    folder: Path, name: str = "", digest: Callable[[Path], str] = manifest.sha256
) -> Report:
    """What `verify` looks at but for the signature.

    Args:
        folder: the model's.
        name: the model as it was asked for.
        digest: gives a file's SHA-256; called once for each file of the manifest that has the
            size stated there.

    Returns:
        A report with every difference found.

    Raises:
        UnsafeError: as `verify`.
    """
    report = Report(folder)
    if in_cache(folder) and not (folder / manifest.MANIFEST_FILE).is_file():
        report.id = name
        report.problems = check_sums(folder, folder)
        report.files = [] if report.problems else stated_of(folder)
        inspect(folder, stated_of(folder))
        return report
    listed: dict[str, Any] = {"files": [], "parameters": 0}
    try:
        listed = manifest.read(folder)
        report.id = listed["id"]
        report.problems += manifest.check_hashes(folder, digest=digest)
    except UnsafeError:
        raise
    except NotFoundError as error:
        report.problems.append(Problem(str(error)))
    except GenaeError as error:
        report.problems.append(Problem(str(error), ACCEPT))
    names = [entry["path"] for entry in listed["files"]]
    different = {problem.partition(":")[0] for problem in report.problems}
    report.files = [path for path in names if path not in different]
    if names:
        extra = sorted(set(manifest.list_files(folder)) - set(names))
        report.problems += [Problem(f"{path}: not in the manifest") for path in extra]
    else:
        manifest.list_files(folder)  # for the pickles
    report.problems += _check_weights(folder, listed["parameters"])
    report.problems += _check_card(folder, listed)
    return report


def _check_weights(folder: Path, parameters: int) -> list[Problem]:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return [Problem("no safetensors file: the folder contains no weights", None)]
    try:
        headers = [safetensors_header(path) for path in weights]
    except IntegrityError as error:
        return [Problem(str(error), None)]
    total = sum(map(elements, headers))
    if parameters > total:
        counted = f"the manifest counts {parameters} parameters, the weights have {total} values"
        return [Problem(counted, ACCEPT)]
    return []


def _check_card(folder: Path, listed: dict[str, Any]) -> list[Problem]:
    """The card against the manifest, and `config.json` against the card's catalog row."""
    try:
        card = Card.load(folder / CARD_FILE)
    except GenaeError as error:
        return [Problem(str(error))]
    problems = [
        Problem(f"{CARD_FILE}: {key} is {getattr(card, key)!r}, in the manifest {listed[key]!r}")
        for key in ("id", "version")
        if key in listed and listed[key] != getattr(card, key)
    ]
    try:
        config = manifest.read_config(folder)
    except GenaeError as error:
        return [*problems, Problem(str(error), None)]
    entry = catalog.find(card.architecture)
    if config.get("model_type") != entry.model_type:
        text = (
            f"config.json: model_type is {config.get('model_type')!r}, "
            f"but architecture {entry.name!r} has {entry.model_type!r}"
        )
        problems.append(Problem(text, _architecture(config)))
        return problems
    names = config.get("architectures")
    if names is not None and not (len(names) == 1 and entry.has_class(names[0])):
        text = (
            f"config.json: architectures is {config['architectures']!r}, "
            f"but architecture {entry.name!r} has {[entry.model_class]!r}"
        )
        problems.append(Problem(text, None))
    return problems


def _architecture(config: dict[str, Any]) -> tuple[str, ...] | None:
    """What makes a card name the architecture that a configuration has."""
    try:
        entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    except UsageError:
        return None
    return (f"--set=architecture={entry.name}",)
