"""What a person gives besides the files: the legacy configuration, options, sizes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.hints import correction
from zoo.staging import check_new_folder

DTYPES = ("float32", "float16", "bfloat16", "float64")  # of a result
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON table from a file.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not a JSON table; says what it is, such as a web page.
    """
    from convert.readers.archive import path_of
    from convert.readers.contents import check_content

    path = path_of(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; {correction(path)}")
    check_content(path)
    try:
        table = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error}); correct it, or get it again") from None
    if not isinstance(table, dict):
        raise IntegrityError(f"{path}: not a JSON table; give the file with the model's sizes")
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


def check_request(
    out: str | os.PathLike[str] | None,
    dtype: str | None,
    max_shard_size: str | int,
    verify: str | os.PathLike[str] | None,
) -> int:
    """Check what needs no checkpoint; arguments as `convert_checkpoint`.

    Returns:
        Bytes of the largest file.

    Raises:
        UsageError: a size or type that there is not.
        NotFoundError: the recorded outputs do not exist.
        ConflictError: the target exists.
    """
    if out is not None:
        check_new_folder(Path(os.path.expanduser(out)))
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}; use {', '.join(DTYPES)}")
    shard_bytes = size_in_bytes(max_shard_size)
    if verify is not None and not Path(os.path.expanduser(verify)).is_file():
        raise NotFoundError(f"{verify} does not exist: give the .npz with recorded outputs")
    return shard_bytes
