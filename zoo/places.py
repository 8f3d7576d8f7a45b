"""Files at any address that fsspec knows: found, listed, read, and written as a whole."""

import contextlib
import errno
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.errors import (
    ConflictError,
    GenaeError,
    MissingDependencyError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)

#: What file systems say of a file's content, and, where they say nothing, of its time.
SUMS = ("md5Hash", "ETag", "etag", "blob_id")
TIMES = ("mtime", "LastModified", "last_modified", "created")
#: Files here are told by their content up to so many of so many bytes in all.
MAX_FILES, MAX_BYTES = 10_000, 256 * 2**20


def is_address(name: str) -> bool:
    """Whether a name is an address of fsspec such as `s3://bucket/folder`, and no path."""
    return "://" in name


@contextlib.contextmanager
def in_words(address: str) -> Iterator[None]:
    """Raise what a file system raises as an error of genae.

    Args:
        address: what messages name.
    """
    try:
        yield
    except GenaeError:
        raise
    except FileNotFoundError as error:
        raise NotFoundError(f"{address}: there is no such file or folder; check it") from error
    except PermissionError as error:
        raise NotAllowedError(f"{address}: permission is missing; check who may use it") from error
    except ImportError as error:
        raise MissingDependencyError(f"{address}: {error}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MissingDependencyError(
                f"no space left for {address}: free some and run the same command again."
            ) from error
        raise UnreachableError(_failed(address, error)) from error
    except Exception as error:  # file systems elsewhere raise whatever their clients do
        raise UnreachableError(_failed(address, error)) from error


def _failed(address: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{address}: {reason}; run the same command again later"


class Place:
    """A folder or file at an address.

    Args:
        address: of fsspec, or a path.

    Attributes:
        files: the file system.
        root: in it.
        local: whether it lies here.
    """

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        self.address = address
        try:
            with in_words(address):
                known = address if is_address(address) else str(Path(address).absolute())
                self.files, self.root = url_to_fs(known)
        except UnreachableError as error:
            raise UsageError(
                f"{address}: is no address that fsspec knows ({error.__cause__}); give a path, or "
                "one such as s3://bucket/folder"
            ) from error
        self.local = isinstance(self.files, LocalFileSystem)

    def __str__(self) -> str:
        return self.address

    def path(self, name: str = "") -> str:
        """A file's path in the file system."""
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    @cached_property
    def is_file(self) -> bool:
        """Whether it is a file."""
        with in_words(self.address):
            return bool(self.files.isfile(self.root))

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        with in_words(self.address):
            return bool(self.files.isdir(self.root))

    def listed(self) -> list[str]:
        """The paths of all files inside, relative and sorted; no link to a folder is followed."""
        with in_words(self.address):
            if not self.local:
                skip = len(self.path("x")) - 1
                return sorted(path[skip:] for path in self.files.find(self.root))
            found: list[str] = []
            for folder, _, names in os.walk(self.root):
                inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
                found += names if inside == "." else [f"{inside}/{name}" for name in names]
            return sorted(found)

    def fingerprint(self, names: list[str]) -> str:
        """What differs where files differ in name or content, as far as can be told soon.

        Few files that lie here are read; more are told by size and time, those elsewhere by size
        and what their store says of the content, or of the time where it says nothing of that.

        Args:
            names: of files inside, or an empty one for the place itself.
        """
        total = hashlib.sha256()
        with in_words(self.address):
            facts = self._facts_here(names) if self.local else self._facts_elsewhere(names)
            for name, told in zip(names, facts, strict=True):
                total.update("\0".join([name, *told]).encode("utf-8", "surrogateescape") + b"\n")
        return total.hexdigest()

    def _facts_here(self, names: list[str]) -> Iterator[list[str]]:
        found = [os.stat(self.path(name)) for name in names]
        few = len(found) <= MAX_FILES and sum(each.st_size for each in found) <= MAX_BYTES
        for name, each in zip(names, found, strict=True):
            told = [str(each.st_size), str(each.st_mtime_ns)]
            if few:
                with open(self.path(name), "rb") as file:
                    told = [hashlib.file_digest(file, "sha256").hexdigest()]
            yield told

    def _facts_elsewhere(self, names: list[str]) -> Iterator[list[str]]:
        infos = self._infos()
        for path in map(self.path, names):
            info = infos.get(path) or self.files.info(path)
            known = [fact for fact in SUMS if fact in info] or [*TIMES]
            yield [str(info[fact]) for fact in ("size", *known) if fact in info]

    def _infos(self) -> dict[str, Any]:
        return dict(self.files.find(self.root, detail=True)) if self.is_folder else {}

    def names(self, folder: str = "") -> set[str]:
        """The names in a folder, none where there is none; never from a cache."""
        with in_words(self.address):
            self.files.invalidate_cache()
            try:
                found = self.files.ls(self.path(folder), detail=False)
            except FileNotFoundError:
                return set()
        return {path.rstrip("/").rpartition("/")[2] for path in found}

    def open(self, name: str = "") -> Any:
        """A file, to be read at random places.

        Raises:
            NotFoundError: there is none.
        """
        from fsspec.spec import AbstractBufferedFile

        with in_words(f"{self.address}/{name}" if name else self.address):
            file = self.files.open(self.path(name), "rb")
        # Their own lines end nowhere but at their ends.
        return io.BufferedReader(file) if isinstance(file, AbstractBufferedFile) else file

    def read(self, name: str) -> bytes | None:
        """A small file's content; None if there is none."""
        with in_words(self.address):
            try:
                return bytes(self.files.cat_file(self.path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file that appears as a whole, in place of one of that name.

        Object stores do so by themselves; here it is written under a hidden name and renamed.
        """
        path = self.path(name)
        with in_words(self.address):
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            if not self.local:
                self.files.pipe_file(path, bytes(content))
                return
            folder, _, last = path.rpartition("/")
            partial = f"{folder}/.{last}.{os.environ.get('RANK', 0)}"
            try:
                write_through(partial, content)
                os.replace(partial, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(partial)

    def put(self, file: Path, name: str) -> None:
        """Copy a file of this machine to here, in place of one of that name."""
        path = self.path(name)
        with in_words(self.address):
            self.files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.files.put_file(str(file), path)

    def fetch(self, name: str, file: Path) -> None:
        """Copy a file from here to this machine, where it appears as a whole.

        Raises:
            NotFoundError: there is none.
        """
        with in_words(f"{self.address}/{name}"):
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f".{file.name}")
            self.files.get_file(self.path(name), str(partial))
            os.replace(partial, file)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if there is one."""
        with in_words(self.address):
            self.files.invalidate_cache()
            with contextlib.suppress(FileNotFoundError):
                self.files.rm(self.path(name), recursive=True)

    def sweep(self, written: Sequence[str]) -> None:
        """Remove what others that were killed left: files half-written, and their locks.

        Args:
            written: globs of the files that they wrote; no other is touched.
        """
        if not self.local:
            return
        import filelock

        ranks = {path.name.split(".")[1] for path in Path(self.root).glob(".*.lock")}
        ranks |= {path.suffix[1:] for path in self._partial(written, "*")}
        for rank in filter(str.isdigit, ranks):
            lock = filelock.FileLock(self.path(f".{rank}.lock"), blocking=False)
            with contextlib.suppress(OSError, filelock.Timeout), lock:  # nobody else holds it
                self._remove_partial(written, rank)
                os.unlink(lock.lock_file)

    def _partial(self, written: Sequence[str], rank: str) -> Iterator[Path]:
        for each in written:
            folder, _, name = each.rpartition("/")
            yield from Path(self.path(folder)).glob(f".{name}.{rank}")

    def _remove_partial(self, written: Sequence[str], rank: str) -> None:
        for path in self._partial(written, rank):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self, written: Sequence[str] = ()) -> Iterator[None]:
        """Nobody else with the same rank writes here, where files can be locked.

        Args:
            written: globs of the files of which one that was killed left some half-written.

        Raises:
            ConflictError: somebody does.
        """
        if not self.local:
            yield
            return
        import filelock

        with in_words(self.address):
            os.makedirs(self.root, exist_ok=True)
        rank = os.environ.get("RANK", "0")
        lock = filelock.FileLock(self.path(f".{rank}.lock"), blocking=False)
        with in_words(self.address):
            try:
                lock.acquire()
            except filelock.Timeout:
                raise ConflictError(
                    f"another run is writing to {self.address}; let it end, or choose another "
                    "folder with -o"
                ) from None
        try:
            self._remove_partial(written, rank)
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)
                os.rmdir(self.root)  # where nothing was written
            lock.release()


def write_through(path: str, content: bytes | memoryview) -> None:
    """Write a file of this machine down to the disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
