"""Copies that are hashed on arrival, and the check of what lies in a folder."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import CARD_FILE, Card
from zoo.errors import (
    GenaeError,
    IntegrityError,
    NotFoundError,
    UnsafeError,
    UsageError,
)
from zoo.registry import embedded, manifest
from zoo.registry.header import elements, safetensors_header
from zoo.staging import check_new_folder, new_folder


@dataclass
class Report:
    """What `verify` found.

    Attributes:
        folder: the folder looked at.
        files: paths whose size and SHA-256 agree with the manifest.
        problems: one line per difference; empty when all agrees.
        id: the model's id as the manifest states it; empty without a manifest.
    """

    folder: Path
    files: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    id: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.problems


def locate(name: str | os.PathLike[str]) -> Path:
    """The folder of a local model or of a `genae/` id, whatever state its files are in.

    Raises:
        NotFoundError: no such model, or it has a card but no weights.
        UsageError: an id of another owner, or an empty name.
    """
    text = embedded.text_of(name)
    if Path(text).is_dir():
        return Path(text)
    if embedded.owns(text):
        folder = embedded.folder(text)
        if embedded.ships(folder):
            return folder
        card = Card.load(folder)
        if card.published is None:
            raise embedded.not_published(card)
        from zoo.registry import hub  # needs huggingface_hub, which is slow to import

        return hub.fetch(card, folder, card.published["commit"])
    if "/" in text and not text.startswith((".", "/", "~")):
        raise UsageError(
            f"{text!r} is neither a folder here nor a genae/ id; `hf download` fetches others."
        )
    known = [path.name for path in embedded.folders()]
    hint = f" Did you mean '{embedded.OWNER}/{text}'?" if text in known else ""
    raise NotFoundError(f"no folder {text!r}.{hint}")


def pull(name: str | os.PathLike[str], to: str | os.PathLike[str]) -> Path:
    """Copy a model into a folder, every file hashed as it arrives.

    The copy is made beside the target and renamed at the end: an interrupted pull leaves nothing.

    Args:
        name: a `genae/` id, or a folder that has a manifest.
        to: the new folder; it may exist if it is empty.

    Returns:
        The folder.

    Raises:
        ConflictError: the target exists and is not empty.
        IntegrityError: a file differs from the manifest.
        UnsafeError: the manifest names a pickle or a path outside the folder.
        NotFoundError: no such model, or it is not published.
        MissingDependencyError: the disk is full.
    """
    target = Path(to) if Path(to).name else Path(to).absolute()
    check_new_folder(target)
    source = locate(name)
    with new_folder(target) as partial:
        _copy(source, partial)
    return target


def _copy(source: Path, target: Path) -> None:
    listed = manifest.read(source)
    for entry in listed["files"]:
        origin, copy = source / entry["path"], target / entry["path"]
        if not origin.is_file():
            raise IntegrityError(f"{origin}: missing, though the manifest lists it.")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, copy)
    shutil.copyfile(source / manifest.MANIFEST_FILE, target / manifest.MANIFEST_FILE)
    if problems := manifest.check_hashes(target):
        raise IntegrityError(f"{source}: {'; '.join(problems)}.")


def verify(name: str | os.PathLike[str]) -> Report:
    """Check that files, manifest, safetensors header, card and catalog agree; works offline.

    Names and shapes in the header are compared with the model that `config.json` describes, if
    it is of genae's catalog; this alone imports torch, and builds the model without memory.

    Args:
        name: a `genae/` id or a folder.

    Returns:
        A report with every difference found.

    Raises:
        NotFoundError: no such model, or it is not published.
        UnsafeError: there is a pickle, or the manifest names a path outside the folder.
    """
    folder = locate(name)
    report = Report(folder)
    listed: dict[str, Any] = {"files": [], "parameters": 0}
    try:
        listed = manifest.read(folder)
        report.id = listed["id"]
        report.problems += manifest.check_hashes(folder)
    except UnsafeError:
        raise
    except GenaeError as error:
        report.problems.append(str(error))
    names = [entry["path"] for entry in listed["files"]]
    different = {problem.partition(":")[0] for problem in report.problems}
    report.files = [path for path in names if path not in different]
    if names:
        extra = sorted(set(manifest.list_files(folder)) - set(names))
        report.problems += [f"{path}: not in the manifest" for path in extra]
    else:
        manifest.list_files(folder)  # for the pickles
    report.problems += _check_weights(folder, listed["parameters"])
    report.problems += _check_card(folder, listed)
    return report


def _check_weights(folder: Path, parameters: int) -> list[str]:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        return ["no safetensors file: the folder holds no weights"]
    try:
        headers = [safetensors_header(path) for path in weights]
    except IntegrityError as error:
        return [str(error)]
    total = sum(map(elements, headers))
    if parameters > total:
        return [f"the manifest counts {parameters} parameters, the weights hold {total} values"]
    found = {name: info["shape"] for header in headers for name, info in header.items()}
    return _check_tensors(folder, found)


def _check_tensors(folder: Path, found: dict[str, list[int]]) -> list[str]:
    """The weights' names and shapes against the model of `config.json`, in the words of loading.

    A config that is not of the catalog is `_check_card`'s to report; torch then stays out.
    """
    try:
        config = read_config(folder)
        entry = catalog.find_config(config.get("model_type"))
    except GenaeError:
        return []
    model_class = catalog.load(entry.model)
    try:
        stored_shapes = catalog.load("zoo.models.modeling_base:stored_shapes")
        expected = stored_shapes(model_class, config)
    except Exception as error:  # a wrong config stops its class, transformers or torch anywhere
        return [f"config.json: makes no model ({' '.join(str(error).split())})"]
    differences = {
        "missing": [min(names) for names in expected if not names & found.keys()],
        "unexpected": found.keys() - set().union(*expected),
        "mismatched": [
            f"{name} {found[name]} in place of {shape}"
            for names, shape in expected.items()
            for name in names & found.keys()
            if found[name] != shape
        ],
    }
    return [
        f"the weights are not those of config.json: {len(those)} {kind}, such as "
        f"{', '.join(sorted(those)[:3])}"
        for kind, those in differences.items()
        if those
    ]


def _check_card(folder: Path, listed: dict[str, Any]) -> list[str]:
    """The card against the manifest, and `config.json` against the card's catalog row."""
    try:
        card = Card.load(folder / CARD_FILE)
    except GenaeError as error:
        return [str(error)]
    problems = [
        f"{CARD_FILE}: {key} is {getattr(card, key)!r}, in the manifest {listed[key]!r}"
        for key in ("id", "version")
        if key in listed and listed[key] != getattr(card, key)
    ]
    try:
        config = read_config(folder)
    except GenaeError as error:
        return [*problems, str(error)]
    entry = catalog.find(card.architecture)
    if config.get("model_type") != entry.model_type:
        problems.append(
            f"config.json: model_type is {config.get('model_type')!r}, "
            f"but architecture {entry.name!r} has {entry.model_type!r}"
        )
    if config.get("architectures") not in (None, [entry.model_class]):
        problems.append(
            f"config.json: architectures is {config['architectures']!r}, "
            f"but architecture {entry.name!r} has {[entry.model_class]!r}"
        )
    return problems


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A folder's `config.json`, or another JSON table there.

    Raises:
        NotFoundError: there is none.
        IntegrityError: it is not a JSON table.
    """
    path = folder / name
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: a model's folder holds one.")
    try:
        config = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error}).") from None
    if not isinstance(config, dict):
        raise IntegrityError(f"{path}: not a JSON table.")
    return config
