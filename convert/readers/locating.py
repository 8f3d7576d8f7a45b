"""The checkpoint that a path means: a folder, a prefix, one of its files, a `checkpoint` file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convert.readers.absent import ENDINGS, SHOWN, absent, empty, nameless, unknown
from convert.readers.archive import is_archive, is_clutter
from convert.readers.contents import check_content, what_is
from convert.readers.keras.archive3 import is_keras_zip
from convert.readers.keras.hdf5 import is_hdf5
from convert.readers.keras.parts import is_later_part
from convert.readers.keras.shards import is_table as is_table_of_shards
from convert.readers.keras.shards import table_of
from convert.readers.tensorflow.checkpoint_file import (
    NAMED,
    SHARD,
    first_shard,
    named_in,
    visible_files,
)
from convert.readers.tensorflow.table import is_table
from zoo.errors import IntegrityError, NotFoundError, UsageError

KERAS_ENDINGS = (".weights", ".h5", ".hdf5", ".keras")
VARIABLES = "variables"  # the folder of a SavedModel with its checkpoint, of the same name
MAX_DEPTH = 3  # folders below the one given that are looked into
MAX_FOLDERS = 1000
CACHED = {"blobs", "refs", ".no_exist"}  # next to `snapshots` in a cache of the Hub


class SeveralCheckpointsError(UsageError):
    """A folder contains several checkpoints, and it is not said which is meant.

    Attributes:
        folder: the one given.
        choices: their paths, each of which can be given in its place.
        of_one_folder: whether they lie in one folder, and may be forms of the same model.
    """

    folder: str = ""
    choices: tuple[str, ...] = ()
    of_one_folder: bool = False

    @classmethod
    def of(
        cls, folder: Path, choices: Iterable[Path], what: str, why: str = "", *, here: bool
    ) -> SeveralCheckpointsError:
        """The error for a folder and what lies in it; TensorFlow's are named by prefix."""
        paths = tuple(f"{path}".removesuffix(".index") for path in choices)
        shown = ", ".join(path.removeprefix(f"{folder}/") for path in paths)
        error = cls(f"{folder} contains {what}: {shown}{why}; give one of them")
        error.folder, error.choices, error.of_one_folder = f"{folder}", paths, here
        return error

    def among(self, choices: Iterable[str], why: str) -> SeveralCheckpointsError:
        """The same with fewer choices, or with a reason why none of them is taken."""
        names = ", ".join(Path(choice).name for choice in choices)
        error = type(self)(
            f"{self.folder} contains several checkpoints: {names} ({why}); give one of them"
        )
        error.folder, error.choices = self.folder, tuple(choices)
        error.of_one_folder = self.of_one_folder
        return error


@dataclass
class Located:
    """What a path means.

    Attributes:
        path: an `.index`, a V1 file, or a file of Keras.
        root: the folder that was given, or the file's.
        notes: how it was chosen, in words.
    """

    path: Path
    root: Path
    notes: list[str] = field(default_factory=list)

    @property
    def places(self) -> list[Path]:
        """Where companion files (configuration, vocabulary) may lie, the nearest first."""
        folder = self.path.parent
        found = [folder]
        while folder not in (self.root, folder.parent) and self.root in folder.parents:
            folder = folder.parent
            found.append(folder)
        if self.path.parent.name == VARIABLES:
            model = self.path.parent.parent
            found[1:2] = [model / "assets", model]
        return [place for place in found if place.is_dir()]


def locate(path: Path) -> Located:
    """The file to open for a path.

    Raises:
        NotFoundError: there is no checkpoint.
        UsageError: there are several.
        IntegrityError: what is there is a pointer, a web page and the like.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.name == NAMED and path.is_file():
        return _by_name_file(path)
    prefix = ENDINGS.sub("", path.name)
    if not prefix:
        raise nameless(path)
    index = path.with_name(f"{prefix}.index")
    if index.is_file():
        if not is_table(index):
            check_content(index)
        return Located(index, index.parent)
    if path.is_file():
        if is_hdf5(path) and (table := table_of(path)) is not None:
            return Located(table, table.parent, [f"taken: {table.name}, which names this file"])
        if is_hdf5(path) or is_table(path) or is_table_of_shards(path) or is_archive(path):
            return Located(path, path.parent)
        raise unknown(path, index)
    if first := first_shard(path):
        return Located(first, first.parent)
    raise absent(path, index)


def shards_of(path: Path) -> list[Path]:
    """All files of a V1 checkpoint, of which one was given.

    Raises:
        NotFoundError: some are missing.
    """
    match = SHARD.search(path.name)
    if not match:
        return [path]
    prefix, count = path.name[: match.start()], int(match[2])
    names = [f"{prefix}-{number:05}-of-{count:05}" for number in range(count)]
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        raise NotFoundError(f"{path} is one of {count} files; missing: {', '.join(missing[:5])}")
    return [path.with_name(name) for name in names]


@dataclass
class Finds:
    """What lies in one folder.

    Attributes:
        good: checkpoints.
        bad: files with the name of one that are something else, and what.
        others: all other files.
    """

    good: list[Path] = field(default_factory=list)
    bad: dict[Path, str] = field(default_factory=dict)
    others: list[Path] = field(default_factory=list)


def _look(folder: Path) -> Finds:
    """Sort the files of a folder by what they are."""
    finds = Finds()
    keras: list[Path] = []
    tables: list[Path] = []
    for path in visible_files(folder):
        if path.suffix == ".index":
            good = is_table(path)
            finds.good += [path] if good else []
        elif is_table_of_shards(path):
            good = True
            keras.append(path)
        elif path.suffix in KERAS_ENDINGS:
            if is_hdf5(path) and table_of(path) is not None:
                continue
            good = is_hdf5(path) or (path.suffix == ".keras" and is_keras_zip(path))
            keras += [path] if good and not is_later_part(path) else []
        elif path.stat().st_size and is_table(path):
            good = True
            tables += [path] if (SHARD.search(path.name) or ["", "00000"])[1] == "00000" else []
        else:
            finds.others.append(path)
            continue
        if not good:
            finds.bad[path] = _instead(path)
    saved = folder / VARIABLES / f"{VARIABLES}.index"
    if not finds.good and saved.is_file():
        finds.good.append(saved)
    finds.good += [*keras, *tables]
    if not finds.good:
        finds.good += [path for path in finds.others if is_hdf5(path)]
    return finds


def _instead(path: Path) -> str:
    """What a file is that has the name of a checkpoint."""
    if (found := what_is(path)) is not None:
        return f"{found.words}; {found.step}"
    if path.suffix == ".index":
        return "does not end as TensorFlow's index files do: damaged or cut off; get it again"
    return "neither a TensorFlow checkpoint nor HDF5"


def _in_folder(folder: Path) -> Located:
    """The checkpoint of a folder, or of the only folder below it that has any."""
    finds = _look(folder)
    named, said = named_in(folder / NAMED)
    among = [path for path in finds.good if path.suffix not in KERAS_ENDINGS]
    if named and (not finds.good or (named in finds.good and among == finds.good)):
        return Located(named, folder, said if len(finds.good) != 1 else [])
    if len(finds.good) > 1:
        chosen = named if named in finds.good else None
        choices = [path for path in finds.good if path not in among or chosen in (None, path)]
        why = f" ({'; '.join(said)})" if said and among == finds.good else ""
        raise SeveralCheckpointsError.of(folder, choices, "several checkpoints", why, here=True)
    if finds.good:
        taken = finds.good[0]
        passed = [f"passed over: {path.name}: {what}" for path, what in finds.bad.items()]
        only = [f"{said[0]}; taken: {taken.name}, the only one"] if said and not named else []
        return Located(taken, folder, [*only, *passed])
    if finds.bad:
        bad = [f"{path}: {what}" for path, what in finds.bad.items()]
        raise IntegrityError(". ".join(bad[:SHOWN]))
    below = list(_below(folder, MAX_DEPTH))
    if len(below) > 1:
        what = "no checkpoint itself, folders in it do"
        raise SeveralCheckpointsError.of(folder, below[:SHOWN], what, here=False)
    if below:
        found = _in_folder(below[0])
        inner = below[0].relative_to(folder).as_posix()
        return Located(found.path, folder, [f"taken: the checkpoint in {inner}", *found.notes])
    raise empty(folder, finds.others)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Folders below one that contain a checkpoint, or what should be one; none inside of them."""
    left = MAX_FOLDERS
    queue = [(folder, 0)]
    while queue and left:
        place, level = queue.pop(0)
        try:
            inner = sorted(
                p for p in place.iterdir()
                if not is_clutter(p.name) and not p.is_symlink() and p.is_dir()
            )  # fmt: skip
            cached = any(path.name == "snapshots" for path in inner)
            for path in inner:
                if cached and path.name in CACHED:
                    continue
                finds = _look(path)
                if finds.good or finds.bad or named_in(path / NAMED)[0]:
                    yield path
                elif level + 1 < depth:
                    queue.append((path, level + 1))
        except PermissionError:
            continue
        left -= 1


def _by_name_file(path: Path) -> Located:
    """What a `checkpoint` file names, else the only checkpoint in its folder."""
    check_content(path)
    named, said = named_in(path, strict=True)
    if named:
        return Located(named, path.parent, said)
    found = [p for p in _look(path.parent).good if p.suffix not in KERAS_ENDINGS]
    if len(found) == 1:
        return Located(
            found[0],
            path.parent,
            [f"{said[0]}; taken: {found[0].name}, the only one there"],
        )
    there = ", ".join(p.name for p in found) or "no other"
    raise NotFoundError(f"{path}: {said[0]}; there is {there}: give the one that you mean")
