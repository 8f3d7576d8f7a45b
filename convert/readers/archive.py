"""Checkpoints inside a zip or tar: in a folder of their own, removed when they are closed.

Only regular files come out, each in its folder below one new folder: `..`, roots and drives are
left out of names, so that none leads anywhere else. Messages call such a file
`bert.zip!inner/name`, which can be given as a path as well.
"""

from __future__ import annotations

import errno
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from convert.readers.contents import arrays_in_zip
from zoo.errors import IntegrityError, MissingDependencyError, UnsafeError

if TYPE_CHECKING:
    AnyPath = Path
else:
    AnyPath = type(Path())  # before Python 3.12, Path itself cannot be subclassed

MAX_RATIO = 200  # of the archive's size that its files may come to
MAX_FILES = 1000
MIN_LIMIT = 2**20  # bytes that any archive may come to
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

#: What file managers leave in folders and archives.
CLUTTER = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "icon\r"}
DRIVE = re.compile(r"[A-Za-z]:")
ENCRYPTED = 1  # the bit of a zip's entry
UTF8 = 0x800  # the same, of a name in UTF-8
SIGN = "!"  # between an archive and the place in it

Member = tuple[str, int, Callable[[], IO[bytes] | None]]

#: Folders that archives are unpacked to, and what messages call them.
_unpacked: dict[str, str] = {}


class Inside(AnyPath):
    """A path inside an unpacked archive; f-strings, and so messages, have the archive's name."""

    def __format__(self, spec: str) -> str:
        return format(shown(str(self)), spec)


def shown(path: str) -> str:
    """What messages call a path: one inside an unpacked archive has the archive's name."""
    archive, inner = _source_of(path)
    return SIGN.join(filter(None, (archive, inner)))


def archive_of(path: Path) -> str | None:
    """The archive that a path was unpacked from; None for any other path."""
    return _source_of(str(path))[0]


def _source_of(path: str) -> tuple[str | None, str]:
    """The archive that a path was unpacked from and the place in it; else None and the path."""
    for folder, archive in _unpacked.items():
        if path == folder:
            return archive, ""
        if path.startswith(folder + os.sep):
            return archive, path.removeprefix(folder + os.sep).replace(os.sep, "/")
    return None, path


def path_of(path: str | os.PathLike[str]) -> Path:
    """A path, `~` as one's home; one in an unpacked archive keeps the archive's name."""
    text = os.path.expanduser(path)
    return Path(text) if shown(text) == text else Inside(text)


class Scratch:
    """A folder that is removed when the checkpoint is closed.

    Errors about a file in it name the archive and the place in it.
    """

    def __init__(self, archive: Path) -> None:
        made = Path(tempfile.mkdtemp(prefix="genae-")) / archive.name
        made.mkdir()
        _unpacked[str(made)] = f"{archive}"
        self.path: Path = Inside(made)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        _unpacked.pop(str(self.path), None)


def is_clutter(name: str) -> bool:
    """Whether a file or folder is hidden, or what a file manager left there, by its name."""
    return name.startswith(".") or name.lower() in CLUTTER


def split(path: Path) -> tuple[Path, str] | None:
    """The archive and the place in it that `bert.zip!inner/name` means; None if it means neither.

    Args:
        path: a path that does not exist itself.
    """
    text = str(path)
    places = [place for place, letter in enumerate(text) if letter == SIGN]
    for place in places:
        archive = Path(text[:place])
        if archive.is_file() and is_archive(archive):
            return archive, "/".join(_parts(text[place + 1 :]))
    return None


class Header(tarfile.TarInfo):
    """A tar's header; what extends it (a long name ...) is read into memory, so it is bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        """A header from its bytes.

        Raises:
            tarfile.ReadError: it announces an extension of absurd length.
        """
        found = super().frombuf(buf, encoding, errors)
        if found.type in EXTENSIONS and not 0 <= found.size <= MIN_LIMIT:
            raise tarfile.ReadError(f"a header announces {found.size} bytes")
        return found


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar of files, by its content."""
    try:
        if not zipfile.is_zipfile(path):
            with tarfile.open(path, mode="r:*", tarinfo=Header) as archive:
                return archive.next() is not None  # a file of zeros is an empty tar
    except BROKEN:
        return False
    return arrays_in_zip(path) is None


def unpack(path: Path, wanted: str = "") -> Scratch:
    """The regular files of an archive in one new folder, without hidden ones.

    Args:
        path: the archive.
        wanted: a place in it: only what lies there, in its folder or above it comes out.

    Raises:
        IntegrityError: it is damaged or encrypted.
        UnsafeError: it contains far more than its size allows, too many files, or two of one name.
        MissingDependencyError: there is no room for it.
    """
    scratch = Scratch(path)
    left = max(MIN_LIMIT, MAX_RATIO * path.stat().st_size)
    seen: set[str] = set()
    try:
        for name, size, opened in _members(path):
            left -= size
            if left < 0:
                raise UnsafeError(f"{path}: unpacks to more than {MAX_RATIO} times its size")
            if name in seen:
                raise UnsafeError(f"{path}: contains two files named {name}; unpack it by hand")
            seen.add(name)
            if not _belongs(name, wanted):
                continue
            target = scratch.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            source = opened()
            if source is None:
                continue
            with source, target.open("wb") as file:
                _copy(source, file, size, path)
    except BROKEN as error:
        scratch.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise MissingDependencyError(
                f"{path}: no room to unpack it in {tempfile.gettempdir()}: free some, "
                "or set TMPDIR"
            ) from None
        words = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise IntegrityError(
            f"{path}: not a sound archive ({words}); get the file again"
        ) from None
    except BaseException:
        scratch.close()
        raise
    return scratch


def _belongs(name: str, wanted: str) -> bool:
    """Whether a file lies at a place, in its folder, or in a folder above it or its `assets`."""
    folder = name.rpartition("/")[0]
    if folder.rpartition("/")[2] == "assets":
        folder = folder.rpartition("/")[0]
    above = not folder or wanted.startswith(f"{folder}/") or wanted == folder
    return not wanted or above or name == wanted or name.startswith(f"{wanted}/")


def _copy(source: IO[bytes], file: IO[bytes], size: int, path: Path) -> None:
    """Copy what the directory promised, and no more."""
    while piece := source.read(PIECE):
        size -= len(piece)
        if size < 0:
            raise UnsafeError(f"{path}: a file is larger than the archive's directory says")
        file.write(piece)


def _members(path: Path) -> Iterator[Member]:
    """Name below the root, size and a way to open each regular file that is not hidden."""
    for count, member in enumerate(_of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path)):
        if count >= MAX_FILES:
            raise UnsafeError(f"{path}: more than {MAX_FILES} files")
        parts = _parts(member[0])
        if parts and "\0" not in member[0] and not any(map(is_clutter, parts)):
            yield "/".join(parts), *member[1:]


def _parts(name: str) -> list[str]:
    """The parts of a name, without those that lead elsewhere."""
    parts = name.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".", "..") and not DRIVE.fullmatch(part)]


def _of_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            link = info.external_attr >> 28 == 0xA  # the file type of Unix for a symbolic link
            if info.is_dir() or link:
                continue
            if info.flag_bits & ENCRYPTED:
                raise IntegrityError(f"{path}: is encrypted; unpack it with its password")
            yield _name(info), info.file_size, partial(archive.open, info)


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a zip's entry; programs write it in UTF-8 or GBK without saying so."""
    if info.flag_bits & UTF8 or info.filename.isascii():
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return info.filename.encode("cp437").decode(encoding)
        except UnicodeError:
            continue
    return info.filename


def _of_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path, mode="r:*", tarinfo=Header) as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name, info.size, partial(archive.extractfile, info)
