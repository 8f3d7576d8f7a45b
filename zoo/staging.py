"""Folders that appear complete or not at all. Standard library only."""

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from zoo.errors import ConflictError, MissingDependencyError, UsageError

MAX_NAME = 255  # bytes, on usual file systems
MAX_PREFIX = 50  # characters of the name in that of the temporary folder


def check_new_folder(target: Path) -> None:
    """Raise unless a folder is absent or empty, so that it can be made.

    Raises:
        ConflictError: it is not empty, or not a folder.
        UsageError: its name is too long.
    """
    if any(len(os.fsencode(part)) > MAX_NAME for part in target.parts):
        raise UsageError(
            f"{target}: the name of a folder has at most {MAX_NAME} bytes; choose a shorter one."
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConflictError(f"{target} exists and is not a folder; choose another.")
    if target.is_dir() and any(target.iterdir()):
        raise ConflictError(f"{target} is not empty; choose another folder.")


def free_folder(target: Path) -> Path:
    """The first of `target`, `target-2`, `target-3` ... that does not exist."""
    names = (target if n == 1 else target.with_name(f"{target.name}-{n}") for n in count(1))
    return next(name for name in names if not os.path.lexists(name))


@contextlib.contextmanager
def new_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder to fill, which is renamed to the target if the `with` block succeeds.

    Args:
        target: the new folder; it may exist if it is empty.

    Yields:
        The folder to write into. An error or an interrupt in the block removes it.

    Raises:
        ConflictError: the target exists and is not empty, or was filled in the meantime.
        UsageError: its name is too long.
        MissingDependencyError: the disk is full.
    """
    target = Path(os.path.expanduser(target))
    target = target if target.name else target.absolute()
    check_new_folder(target)
    partial = _partial(target)
    try:
        yield partial
        partial.chmod(0o777 & ~umask())
        if target.is_dir():  # move the files, as the current folder cannot be replaced
            for file in sorted(partial.iterdir()):
                file.rename(target / file.name)
        else:
            partial.rename(target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MissingDependencyError(f"no space left for {target}: free some.") from None
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise ConflictError(
                f"{target} was filled in the meantime; choose another folder."
            ) from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A temporary file to write, which is renamed to the target if the `with` block succeeds.

    Args:
        target: the new file.

    Yields:
        The file to write, in a folder of its own. An error or an interrupt removes both.

    Raises:
        ConflictError: the target exists, or appeared in the meantime.
        UsageError: its name is too long.
        MissingDependencyError: the disk is full.
    """
    if os.path.lexists(target):
        raise ConflictError(f"{target} exists; choose another name.")
    check_new_folder(target)
    partial = _partial(target)
    try:
        yield partial / target.name
        if os.path.lexists(target):
            raise ConflictError(f"{target} exists; choose another name.")
        (partial / target.name).rename(target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MissingDependencyError(f"no space left for {target}: free some.") from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(target: Path) -> Path:
    """A temporary folder next to a target, whose own folder is made where it is absent."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(
            tempfile.mkdtemp(prefix=f".{target.name[:MAX_PREFIX]}.", dir=target.parent.resolve())
        )
    except FileExistsError as error:
        raise ConflictError(
            f"{error.filename} is a file, so {target.name} cannot be made in it."
        ) from None


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to fill, which takes an existing one's place if the `with` succeeds.

    They change places at once where the system can (Linux, macOS); elsewhere the old one is moved
    aside first, and back if that fails.

    Args:
        target: the folder to replace; what is in it is deleted in the end.

    Yields:
        The folder to write into. An error or an interrupt in the block removes it.

    Raises:
        MissingDependencyError: the disk is full.
    """
    parent = target.resolve().parent
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name[:MAX_PREFIX]}.", dir=parent))
    try:
        yield partial
        partial.chmod(target.stat().st_mode & 0o7777)
        if not _exchange(partial, target.resolve()):
            _move(partial, target.resolve())
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MissingDependencyError(f"no space left for {target}: free some.") from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once; whether the system could."""
    import ctypes  # for what the standard library has no function

    name, places = {"linux": ("renameat2", 2), "darwin": ("renamex_np", 0)}.get(
        sys.platform, ("", 0)
    )
    call = getattr(ctypes.CDLL(None), name, None) if name else None
    if call is None:
        return False
    here, swap = -100, 2  # of fcntl.h and stdio.h: paths as they are; exchange
    paths = [os.fsencode(one), os.fsencode(other)]
    arguments = [here, paths[0], here, paths[1]] if places else paths
    return bool(call(*arguments, swap) == 0)


def _move(new: Path, old: Path) -> None:
    """The same in steps: the old folder aside, the new one in its place."""
    aside = new.with_name(f"{new.name}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


def umask() -> int:
    """The permission bits that new files of this process do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
