"""Small files and links that appear as a whole. Standard library only."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def link(blob: Path, path: Path) -> None:
    """A link to a blob, or its copy where the system knows no links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(blob, path.parent)
    if path.is_symlink() and os.readlink(path) == target:
        return
    handle, name = tempfile.mkstemp(prefix=".genae-", dir=path.parent)
    os.close(handle)
    os.unlink(name)
    try:
        try:
            os.symlink(target, name)
        except OSError:
            shutil.copyfile(blob, name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Replace a small file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_all(path.parent, {path.name: text.encode("utf-8")})


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace small files of a folder, none before all of them are written.

    Args:
        folder: that exists.
        files: name -> content, in the order in which they are to appear.
    """
    partial: dict[str, str] = {}
    try:
        for name, content in files.items():
            handle, partial[name] = tempfile.mkstemp(prefix=".genae-", dir=folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(partial[name], 0o644)
        for name, place in partial.items():
            os.replace(place, folder / name)
    finally:
        for place in partial.values():
            Path(place).unlink(missing_ok=True)
