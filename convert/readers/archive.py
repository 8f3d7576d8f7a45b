"""Checkpoints inside a zip or tar: unpacked beside nothing, and removed when they are closed.

Only regular files come out, under their base names in one folder, so that no name leads anywhere.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from zoo.errors import IntegrityError, UnsafeError

MOST_RATIO = 200  # of the archive's size that its files may come to
MOST_FILES = 1000
LEAST = 2**20  # bytes that any archive may come to
PIECE = 2**20
EXTENSIONS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
#: What a damaged archive ends in; other versions and encryption are RuntimeErrors.
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, ValueError),
)

Member = tuple[str, int, Callable[[], IO[bytes] | None]]


class Scratch:
    """A folder that is removed when the checkpoint is closed.

    It has the archive's name, so that errors about a file in it name the archive.
    """

    def __init__(self, archive: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="genae-")) / archive.name
        self.path.mkdir()

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


class Header(tarfile.TarInfo):
    """A tar's header; what extends it (a long name ...) is read into memory, so it is bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        """A header from its bytes.

        Raises:
            tarfile.ReadError: it announces an extension of absurd length.
        """
        found = super().frombuf(buf, encoding, errors)
        if found.type in EXTENSIONS and not 0 <= found.size <= LEAST:
            raise tarfile.ReadError(f"a header announces {found.size} bytes")
        return found


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar, by its content."""
    try:
        if not zipfile.is_zipfile(path):
            with tarfile.open(path, mode="r:*", tarinfo=Header) as archive:
                return archive.next() is not None  # a file of zeros is an empty tar
    except BROKEN:
        return False
    return True


def unpack(path: Path) -> Scratch:
    """The regular files of an archive in one new folder.

    Raises:
        IntegrityError: it is damaged.
        UnsafeError: it holds far more than its size allows, too many files, or two of one name.
    """
    scratch = Scratch(path)
    most = max(LEAST, MOST_RATIO * path.stat().st_size)
    try:
        for name, size, opened in _members(path):
            target = scratch.path / name
            most -= size
            if most < 0:
                raise UnsafeError(f"{path}: unpacks to more than {MOST_RATIO} times its size")
            if target.exists():
                raise UnsafeError(f"{path}: holds two files named {name}; unpack it by hand")
            source = opened()
            if source is None:
                continue
            with source, target.open("wb") as file:
                _copy(source, file, size, path)
    except BROKEN as error:
        scratch.close()
        raise IntegrityError(f"{path}: not a sound archive ({error})") from None
    except BaseException:
        scratch.close()
        raise
    return scratch


def _copy(source: IO[bytes], file: IO[bytes], size: int, path: Path) -> None:
    """Copy what the directory promised, and no more."""
    while piece := source.read(PIECE):
        size -= len(piece)
        if size < 0:
            raise UnsafeError(f"{path}: a file is larger than the archive's directory says")
        file.write(piece)


def _members(path: Path) -> Iterator[Member]:
    """Base name, size and a way to open each regular file."""
    for count, member in enumerate(_of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path)):
        if count >= MOST_FILES:
            raise UnsafeError(f"{path}: more than {MOST_FILES} files")
        name = PurePosixPath(member[0].replace("\\", "/")).name
        if name not in ("", ".", "..") and "\0" not in name:
            yield name, *member[1:]


def _of_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            link = info.external_attr >> 28 == 0xA  # the file type of Unix for a symbolic link
            if not info.is_dir() and not link:
                yield info.filename, info.file_size, partial(archive.open, info)


def _of_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path, mode="r:*", tarinfo=Header) as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name, info.size, partial(archive.extractfile, info)
