"""Small files and links that appear as a whole. Standard library only."""

import os
import shutil
import tempfile
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
    handle, name = tempfile.mkstemp(prefix=".genae-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
