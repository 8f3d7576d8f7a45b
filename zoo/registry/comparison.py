"""What differs between two models or two versions of one: settings, numbers, files.

No weights are fetched: of a model elsewhere, its registry's list and its small files are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.card import CARD_FILE, Card
from zoo.errors import GenaeError, NotFoundError
from zoo.registry import embedded, manifest, names, order
from zoo.registry.datasets import bare_name
from zoo.registry.peek import DESCRIBING, small
from zoo.registry.signing import SIGNATURE
from zoo.registry.snapshots import digest
from zoo.registry.types import File, Remote

#: Keys of a card that are no settings, or are compared otherwise.
APART = ("schema", "id", "published", "results", "source")
#: What is about the files, and none of them.
NO_FILES = (manifest.MANIFEST_FILE, SIGNATURE)
#: Keys of a configuration that say who wrote it.
WRITER = ("transformers_version", "auto_map")


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two models.

    Attributes:
        settings: of the cards and configurations by dotted key, such as `train.learning_rate`:
            the value of each, None where it has none.
        numbers: one table a number that differs: `metric`, `dataset`, `split`, `seed`, `options`,
            and the values `a` and `b`, None where there is none. A stated value comes before one
            that was only measured.
        files: by path, the sizes in bytes of files that differ, None where there is none.
        same_numbers: how many numbers are the same.
        same_files: paths of files that are the same.
    """

    settings: dict[str, tuple[Any, Any]]
    numbers: list[dict[str, Any]]
    files: dict[str, tuple[int | None, int | None]]
    same_numbers: int = 0
    same_files: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.settings or self.numbers or self.files)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two: what is known of it without its weights."""

    files: dict[str, File]
    texts: dict[str, bytes]
    folder: Path | None = None

    def size(self, path: str) -> int | None:
        """A file's bytes, None if there is none."""
        return self.files[path].size if path in self.files else None

    def holds(self, file: File, other: _Side) -> bool:
        """Whether another's file is here as well, whichever sums are known of the two."""
        mine = self.files.get(file.path)
        if mine is None:
            return False
        if mine.sha256 and file.sha256:
            return mine.sha256 == file.sha256
        if self.folder is not None:
            return digest(self.folder / file.path, file) == file.sum
        if other.folder is not None:
            return digest(other.folder / file.path, mine) == mine.sum
        return mine.size == file.size and mine.oid == file.oid


def diff(
    a: str | os.PathLike[str], b: str | os.PathLike[str], *, source: str | None = None
) -> Difference:
    """Compare two models, or two versions of one.

    Args:
        a: an id, with a version (`owner/name@v1.0.0`) or without, or a folder; withdrawn versions
            can be compared as well, as long as they are not purged. A folder wins.
        b: likewise.
        source: the only registry to ask for ids, in place of the search order.

    Returns:
        What differs.

    Raises:
        NotFoundError: there is no such model or version.
        IntegrityError: what a registry says of it makes no sense.
        UnsafeError: a folder contains a pickle.
    """
    one, other = _side(a, source), _side(b, source)
    configs = _config(one), _config(other)
    first, second = _settings(one, *configs), _settings(other, *configs[::-1])
    settings = {
        key: (first.get(key), second.get(key))
        for key in {**first, **second}
        if first.get(key) != second.get(key)
    }
    left, right = _numbers(one), _numbers(other)
    pairs = {key: (left.get(key), right.get(key)) for key in {**left, **right}}
    numbers = [
        {**json.loads(key), "a": pair[0], "b": pair[1]}
        for key, pair in pairs.items()
        if pair[0] != pair[1]
    ]
    same_files = [path for path, file in other.files.items() if one.holds(file, other)]
    files = {
        path: (one.size(path), other.size(path))
        for path in sorted({**one.files, **other.files})
        if path not in same_files
    }
    return Difference(settings, numbers, files, len(pairs) - len(numbers), same_files)


def _side(name: str | os.PathLike[str], source: str | None) -> _Side:
    """What there is to know of a model: of its folder where it is here, else of its registry."""
    text = embedded.text_of(name)
    here = Path(names.here(text) or "")
    if text.strip(".") and (here / "config.json").is_file():
        return _folder(here)
    model, revision, source = names.parse(text, revision=None, source=source)
    if source is None and revision is None and model == text and "/" not in text:
        raise names.no_model(text)
    failure: NotFoundError | None = None
    for place in [source] if source else order.order():
        if place == "embedded" and not embedded.owns(model):
            continue
        if place == "hub" and not source and embedded.owns(model):
            continue
        try:
            if place == "embedded":
                return _folder(embedded.Embedded().folder(model, revision))
            return _elsewhere(order.open_remote(place), model, revision)
        except NotFoundError as error:
            failure = error
    raise failure or NotFoundError(f"no registry to ask for {model}: see `genae registry`.")


def _folder(folder: Path) -> _Side:
    paths = [*manifest.list_files(folder)]
    files = {
        path: File(path, (folder / path).stat().st_size, manifest.sha256(folder / path))
        for path in paths
    }
    texts = {
        path: (folder / path).read_bytes() for path in DESCRIBING if (folder / path).is_file()
    }
    return _Side(files, texts, folder)


def _elsewhere(registry: Remote, name: str, revision: str | None) -> _Side:
    snapshot = registry.find(name, revision)
    read = {path: small(registry, snapshot, path, limit) for path, limit in DESCRIBING.items()}
    texts = {path: text for path, text in read.items() if text is not None}
    files = {f.path: f for f in snapshot.files if f.path[0] != "." and f.path not in NO_FILES}
    if manifest.MANIFEST_FILE in texts:
        listed = manifest.parse(texts[manifest.MANIFEST_FILE], Path(manifest.MANIFEST_FILE))
        for entry in listed["files"]:
            files[entry["path"]] = File(entry["path"], entry["size"], entry["sha256"])
    return _Side(files, texts)


def _card(side: _Side) -> Card | None:
    text = side.texts.get(CARD_FILE)
    return None if text is None else Card.parse(text.decode("utf-8", "replace"))


def _config(side: _Side) -> dict[str, Any]:
    """What `config.json` says; nothing where it is damaged."""
    try:
        config = json.loads(side.texts.get("config.json", b"{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(config, dict):
        return {}
    return {key: value for key, value in config.items() if key not in WRITER}


def _settings(side: _Side, config: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting by its dotted key; what `config.json` says comes before the card.

    Of a table inside a table of the configuration (a layer, say) that the other side lacks, the
    key is that of the whole.
    """
    card = _card(side)
    found: dict[str, Any] = {}
    if card is not None:
        _flatten({key: v for key, v in card.to_dict().items() if key not in APART}, "", found)
    if "data.dataset" in found:  # wherever it lies
        found["data.dataset"] = bare_name(found["data.dataset"])
    for key, value in config.items():
        if not isinstance(value, Mapping):
            found[f"config.{key}"] = value
            continue
        beside = others.get(key)
        beside = beside if isinstance(beside, Mapping) else {}
        for name, inner in value.items():
            if isinstance(inner, Mapping) and isinstance(beside.get(name), Mapping):
                _flatten(inner, f"config.{key}.{name}.", found)
            else:
                found[f"config.{key}.{name}"] = inner
    return found


def _flatten(table: Mapping[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, Mapping):
            _flatten(value, f"{prefix}{key}.", found)
        else:
            found[f"{prefix}{key}"] = value


def _numbers(side: _Side) -> dict[str, float]:
    """Every number by what identifies it, as JSON: measured ones, then those that are stated."""
    found: dict[str, float] = {}
    text = side.texts.get(manifest.MANIFEST_FILE)
    if text is not None:
        try:
            listed = manifest.parse(text, Path(manifest.MANIFEST_FILE))
        except GenaeError:
            listed = {}
        for result in listed.get("results", []):
            identity = {key: result.get(key) for key in (*manifest.NUMBER, "options")}
            found[_key(identity)] = result["value"]
    card = _card(side)
    for stated in card.results if card else ():
        found[_key(manifest.identity_of(stated))] = stated.value
    return found


def _key(identity: Mapping[str, Any]) -> str:
    named = {"dataset": bare_name(str(identity["dataset"])), "options": identity["options"] or {}}
    return json.dumps({**identity, **named}, sort_keys=True, default=str)
