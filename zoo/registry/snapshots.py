"""Which files of a repository are a model's, and whether they are all there and right.

A snapshot that another program fetched, or that was copied from another machine, may contain links
to blobs named by their sums, or the files themselves. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from zoo.errors import GenaeError, NotFoundError, UnsafeError
from zoo.header import is_pickle
from zoo.registry.types import COMMIT, SHA256, File, check_files

PIECE = 2**20
#: Weights of other libraries, which many repositories have in addition to safetensors.
FOREIGN = (".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".gguf", ".mlmodel", ".onnx_data")
FOREIGN_FOLDERS = ("onnx", "coreml", "openvino", "original", "metal", "runs")
#: What a model cannot do without, if its repository has it; of vocabularies, the first there is.
NEEDED = (
    "config.json", "manifest.json", "preprocessor_config.json", "tokenizer_config.json",
    "special_tokens_map.json",
)  # fmt: skip
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")


class LackingError(NotFoundError):
    """A snapshot that is not there, not whole, or damaged; the message may be empty."""


def in_cache(folder: Path) -> bool:
    """Whether a folder is a snapshot in a cache of fetched models."""
    return folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--")


def wanted(files: Iterable[File]) -> tuple[File, ...]:
    """The files to fetch: all but hidden ones, pickles and other libraries' weights.

    Raises:
        UnsafeError: the only weights are pickles.
    """
    plain = [f for f in files if not _is_hidden(f.path)]
    safe = [f for f in plain if not is_pickle(f.path)]
    if len(safe) < len(plain) and not any(f.path.endswith(".safetensors") for f in safe):
        names = ", ".join(f.path for f in plain if is_pickle(f.path))[:200]
        raise UnsafeError(f"{names}: pickled weights can run code; there are no safetensors.")
    return tuple(f for f in safe if not _is_foreign(f.path))


def digest(path: Path, file: File) -> str:
    """The sum of a file's content, of the kind that the registry stated."""
    with path.open("rb") as content:
        if file.sha256 or not file.oid:
            return hashlib.file_digest(content, "sha256").hexdigest()
        total = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while piece := content.read(PIECE):
            total.update(piece)
        return total.hexdigest()


def described(path: str, size: int, total: str) -> File:
    """A file by the one sum that is known of it."""
    return File(path, size, **{"sha256" if len(total) == 64 else "oid": total})


def is_whole(folder: Path) -> bool:
    """Whether a folder contains a configuration and all its weights."""
    return not _missing(folder)


def look(folder: Path, place: Path) -> tuple[File, ...]:
    """The model's files in a snapshot, each with the sum that its content was compared with.

    The sum is that of the blob a link points to, or else of the listing that huggingface_hub
    keeps; where there is neither, it is the content's own.

    Args:
        folder: the snapshot, named by its commit.
        place: the model's folder in the cache.

    Raises:
        LackingError: a file that the model needs is not there, or one is damaged.
        UnsafeError: the only weights are pickles.
        IntegrityError: names or sizes that no registry would have.
    """
    if not folder.is_dir():
        raise LackingError("")
    stated = listing(place, folder.name)
    found: list[File] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _is_hidden(name) or (path.is_dir() and not path.is_symlink()):
            continue
        if not path.is_file():
            if is_pickle(name) or _is_foreign(name):
                continue
            raise LackingError(f"{name} is a link to nothing, as its blobs are elsewhere")
        found.append(_described(path, name, stated.get(name)))
    checked = wanted(check_files(found))
    _refuse_lacking(folder, {file.path for file in checked}, stated)
    for file in checked:
        if digest(folder / file.path, file) != file.sum:
            raise LackingError(f"{file.path} is damaged: its content differs from its checksum")
    return checked


def listing(place: Path, commit: str) -> dict[str, File]:
    """The files of a commit as huggingface_hub listed them, empty if it kept nothing sound."""
    try:
        table = json.loads((place / "trees" / f"{commit}.json").read_bytes())
        files = [
            described(
                path,
                row["lfs_size"] if row.get("lfs_sha256") else row["size"],
                row.get("lfs_sha256") or row["blob_id"],
            )
            for path, row in table["files"].items()
        ]
        return {file.path: file for file in check_files(files)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, GenaeError):
        return {}


def _described(path: Path, name: str, stated: File | None) -> File:
    """A file of a snapshot with what it should be."""
    size = path.stat().st_size
    blob = path.resolve().name if path.is_symlink() else ""
    if COMMIT.fullmatch(blob) or SHA256.fullmatch(blob):
        return described(name, size, blob)
    if stated is not None:
        return described(name, size, stated.sum)
    return described(name, size, digest(path, File(name, size)))


def _refuse_lacking(folder: Path, names: set[str], stated: dict[str, File]) -> None:
    """Refuse a snapshot without a file that its model needs, as far as anyone knows.

    Raises:
        LackingError: with the name of one.
    """
    needed = [name for name in NEEDED if name in stated]
    needed += [name for name in VOCABULARIES if name in stated][:1]
    for name in [*_missing(folder), *needed]:
        if name not in names:
            raise LackingError(f"{name} is not in it")


def _missing(folder: Path) -> list[str]:
    """Of the configuration and the weights, what is not there."""
    shards = {"model.safetensors"}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(map(str, json.loads(index.read_bytes())["weight_map"].values()))
        except (ValueError, TypeError, KeyError, AttributeError):
            return [index.name]
    return [n for n in ("config.json", *sorted(shards)) if not os.path.isfile(folder / n)]


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _is_foreign(path: str) -> bool:
    return path.lower().endswith(FOREIGN) or path.split("/")[0] in FOREIGN_FOLDERS
