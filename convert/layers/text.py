"""Where the JSON of an architecture stands, in every form of file, read as data."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.layers.saved_model import architecture_of, is_saved_model
from convert.readers.archive import BROKEN
from convert.readers.keras.archive3 import is_zip, unsound
from convert.readers.keras.attributes import Attributes
from convert.readers.keras.hdf5 import datasets, is_hdf5, reason
from zoo.errors import IntegrityError, NotFoundError

CONFIG, METADATA = "config.json", "metadata.json"
MAX_BYTES = 64 * 2**20  # of JSON; a model of a thousand layers has one
#: Half a character, as JSON may write it and nothing else can.
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|[\ud800-\udfff]")
MAX_RATIO = 1000  # of the archive's size that one of its texts may claim


@dataclass(frozen=True)
class Source:
    """An architecture as it was found.

    Attributes:
        table: the JSON, a dictionary; nothing in it was looked at.
        version: of Keras, as the file says it; empty where it does not.
        place: the file and where in it, in words.
    """

    table: dict[str, Any]
    version: str
    place: str


def find(path: Path) -> Source | None:
    """The architecture that a file contains, or nothing where it is weights alone.

    Args:
        path: HDF5, a `.keras` archive or the folder that one was unpacked to, a SavedModel, or
            JSON; its content decides, not its name.

    Raises:
        IntegrityError: it is damaged, or no JSON of a model.
    """
    if path.is_dir():
        if is_saved_model(path):
            return _of_saved_model(path)
        config = path / CONFIG
        return _of_json(config, path / METADATA) if config.is_file() else None
    if is_zip(path):
        return _of_archive(path)
    return _of_hdf5(path) if is_hdf5(path) else _of_json(path)


def read(path: Path) -> Source:
    """The same where there has to be one.

    Raises:
        NotFoundError: the file does not exist, or has weights alone.
        IntegrityError: as `find`.
    """
    if not path.exists():
        raise NotFoundError(f"{path} does not exist: give the model's JSON or its whole file")
    if (found := find(path)) is None:
        raise NotFoundError(
            f"{path}: no architecture is in it, only weights; give the JSON of model.to_json() "
            "with --config FILE"
        )
    return found


def parse_json(text: str | bytes, place: str) -> dict[str, Any]:
    """A JSON object, whatever was put into the file.

    Raises:
        IntegrityError: it is damaged, too deep, too large, or no object.
    """
    if len(text) > MAX_BYTES:
        raise IntegrityError(f"{place}: {len(text)} bytes of JSON; no model has so much")
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise IntegrityError(
            f"{place}: the JSON of the architecture is damaged ({where}); save the model again"
        ) from None
    except (RecursionError, ValueError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise IntegrityError(
            f"{place}: no architecture can be read from its JSON ({why}); save the model again"
        ) from None
    if SURROGATE.search(text if isinstance(text, str) else text.decode("latin-1")):
        try:
            json.dumps(table, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise IntegrityError(
                f"{place}: the JSON of the architecture has a text that is no Unicode; save the "
                "model again"
            ) from None
    if not isinstance(table, dict):
        raise IntegrityError(
            f"{place}: JSON of a {type(table).__name__}, and no architecture, which is an object"
        )
    return table


def _of_json(path: Path, metadata: Path | None = None) -> Source:
    if path.stat().st_size > MAX_BYTES:
        raise IntegrityError(f"{path}: {path.stat().st_size} bytes of JSON; no model has so much")
    table = parse_json(path.read_bytes(), f"{path}")
    said = table.get("keras_version")
    if metadata is not None and metadata.is_file():
        said = parse_json(metadata.read_bytes(), f"{metadata}").get("keras_version")
    return Source(table, said if isinstance(said, str) else "", f"{path}")


def _of_saved_model(path: Path) -> Source | None:
    found = architecture_of(path)
    if found is None:
        return None
    place, text = found
    table = parse_json(text, f"{place}")
    said = table.get("keras_version")
    return Source(table, said if isinstance(said, str) else "", f"{place}")


def _of_archive(path: Path) -> Source | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if CONFIG not in archive.namelist():
                return None
            table = parse_json(_member(archive, CONFIG, path), f"{path}!{CONFIG}")
            said: Any = ""
            if METADATA in archive.namelist():
                metadata = parse_json(_member(archive, METADATA, path), f"{path}!{METADATA}")
                said = metadata.get("keras_version")
    except BROKEN as error:
        raise unsound(path, error) from None
    return Source(table, said if isinstance(said, str) else "", f"{path}!{CONFIG}")


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A text in an archive, in memory; no path in it leads anywhere."""
    size = archive.getinfo(name).file_size
    if size > min(MAX_BYTES, MAX_RATIO * path.stat().st_size):
        raise IntegrityError(f"{path}: {name} claims {size} bytes; it is damaged")
    with archive.open(name) as file:
        return file.read(size)


def _of_hdf5(path: Path) -> Source | None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                return None
            attributes = Attributes(path, file, (one for _, one in datasets(file, path)))
            text = _text(attributes.value(file, "model_config"))
            said = ""
            if "keras_version" in file.attrs:
                version = _text(attributes.value(file, "keras_version"))
                said = version.encode("utf-8", "replace").decode("utf-8")
    # h5py turns whatever the C library meets into one of many kinds of error.
    except Exception as error:
        raise IntegrityError(f"{path}: not a sound HDF5 file ({reason(error)})") from None
    return Source(parse_json(text, f"{path}, attribute model_config"), said, f"{path}")


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def major(source: Source) -> int:
    """Of which Keras it is: 1, 2 or 3; by what it says, else by how it is written."""
    said = source.version or str(source.table.get("keras_version") or "")
    if match := re.match(r"([123])\.", said):
        return int(match[1])
    return 3 if "build_config" in source.table or "compile_config" in source.table else 2
