"""What a person gives beside the files: the legacy configuration, options, sizes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import IntegrityError, NotFoundError, UsageError

if TYPE_CHECKING:
    from convert.readers import Checkpoint

CONFIG_NAMES = ("bert_config.json", "config.json", "*config*.json")
DTYPES = ("float32", "float16", "bfloat16", "float64")  # of a result
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def read_config(
    source: str | os.PathLike[str],
    checkpoint: Checkpoint,
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
) -> tuple[dict[str, Any], str]:
    """The legacy configuration and the name of its file.

    Args:
        source: what was opened.
        checkpoint: beside whose files it is looked for.
        config: its content, or its file; None looks.

    Raises:
        NotFoundError: there is none.
        IntegrityError: it is not a JSON table.
    """
    if isinstance(config, Mapping):
        return dict(config), ""
    if config is None:
        folder = checkpoint.files[0].parent
        found = (path for name in CONFIG_NAMES for path in sorted(folder.glob(name)))
        path = next(found, None)
        if path is None:
            raise NotFoundError(
                f"no bert_config.json beside {Path(source).name}: the number of attention heads "
                "is in no weights file; give --config FILE"
            )
    else:
        path = Path(config)
    return read_json(path), path.name


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table from a file.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not a JSON table.
    """
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; check the name")
    try:
        table = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error})") from None
    if not isinstance(table, dict):
        raise IntegrityError(f"{path}: not a JSON table")
    return table


def size_in_bytes(size: str | int) -> int:
    """A size as a person writes it.

    Example:
        >>> size_in_bytes("5GB"), size_in_bytes("512 MiB"), size_in_bytes(17)
        (5000000000, 536870912, 17)

    Raises:
        UsageError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(size).lower())
    if not match or match[2].upper() not in UNITS or not float(match[1]):
        raise UsageError(f"{size!r} is not a size; write 5GB, 500MB or a number of bytes")
    return int(float(match[1]) * UNITS[match[2].upper()])


def parse_option(text: str) -> tuple[str, Any]:
    """KEY=VALUE as the command line has it; the value is JSON where it can be.

    Example:
        >>> parse_option("with_pool=linear"), parse_option("keep_tokens=[0, 5]")
        (('with_pool', 'linear'), ('keep_tokens', [0, 5]))

    Raises:
        UsageError: there is no `=`.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"{text!r} is not KEY=VALUE, such as application=lm")
    words = {"True": True, "False": False, "None": None}
    try:
        return key, words[value] if value in words else json.loads(value)
    except ValueError:
        return key, value
