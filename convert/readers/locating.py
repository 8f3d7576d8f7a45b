"""The checkpoint that a path means: a folder, a prefix, one of its files, a `checkpoint` file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convert.readers.archive import SIGN, Inside, is_archive, is_clutter
from convert.readers.contents import UNFINISHED, check_content, refusal, what_is
from convert.readers.keras.archive3 import is_keras_zip
from convert.readers.keras.hdf5 import is_hdf5
from convert.readers.keras.parts import is_later_part
from convert.readers.tensorflow.checkpoint_file import (
    NAMED,
    SHARD,
    first_shard,
    named_in,
    visible_files,
)
from convert.readers.tensorflow.table import is_table
from zoo.errors import IntegrityError, NotFoundError, UsageError

ENDINGS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
KERAS_ENDINGS = (".weights", ".h5", ".hdf5", ".keras")
VARIABLES = "variables"  # the folder of a SavedModel with its checkpoint, of the same name
DEEPEST = 3  # folders below the one given that are looked into
MOST_FOLDERS = 1000
SHOWN = 5
#: Files that lie beside a checkpoint, by their endings, and what to give in their place.
BESIDE = {
    ".json": "give the checkpoint, and a configuration with --config FILE",
    ".txt": "give the checkpoint, and a vocabulary with --vocab FILE",
    ".model": "give the checkpoint, and a SentencePiece model with --vocab FILE",
}
CACHED = {"blobs", "refs", ".no_exist"}  # beside `snapshots` in a cache of the Hub


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
        raise _nameless(path)
    index = path.with_name(f"{prefix}.index")
    if index.is_file():
        if not is_table(index):
            check_content(index)
        return Located(index, index.parent)
    if path.is_file():
        if is_hdf5(path) or is_table(path) or is_archive(path):
            return Located(path, path.parent)
        raise _unknown(path, index)
    if first := first_shard(path):
        return Located(first, first.parent)
    raise _absent(path, index)


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
        elif path.suffix in KERAS_ENDINGS:
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
    """The checkpoint of a folder, or of the only folder below it that holds any."""
    finds = _look(folder)
    named, said = named_in(folder / NAMED)
    among = [path for path in finds.good if path.suffix not in KERAS_ENDINGS]
    if named and (not finds.good or (named in finds.good and among == finds.good)):
        return Located(named, folder, said if len(finds.good) != 1 else [])
    if len(finds.good) > 1:
        names = ", ".join(
            f"{path}" if isinstance(path, Inside) else path.relative_to(folder).as_posix()
            for path in finds.good
        )
        why = f" ({'; '.join(said)})" if said and among == finds.good else ""
        raise UsageError(f"{folder} holds several checkpoints: {names}{why}; give one of them")
    if finds.good:
        taken = finds.good[0]
        passed = [f"passed over: {path.name}: {what}" for path, what in finds.bad.items()]
        only = [f"{said[0]}; taken: {taken.name}, the only one"] if said and not named else []
        return Located(taken, folder, [*only, *passed])
    if finds.bad:
        bad = [f"{path}: {what}" for path, what in finds.bad.items()]
        raise IntegrityError(". ".join(bad[:SHOWN]))
    below = list(_below(folder, DEEPEST))
    if len(below) > 1:
        names = ", ".join(f"{place}" for place in below[:SHOWN])
        raise UsageError(
            f"{folder} holds no checkpoint itself, folders in it do: {names}; give one of them"
        )
    if below:
        found = _in_folder(below[0])
        inner = below[0].relative_to(folder).as_posix()
        return Located(found.path, folder, [f"taken: the checkpoint in {inner}", *found.notes])
    raise _empty(folder, finds)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Folders below one that hold a checkpoint, or what should be one; none inside of them."""
    left = MOST_FOLDERS
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
    """What a `checkpoint` file names, else the only checkpoint beside it."""
    check_content(path)
    named, said = named_in(path, strict=True)
    if named:
        return Located(named, path.parent, said)
    found = [p for p in _look(path.parent).good if p.suffix not in KERAS_ENDINGS]
    if len(found) == 1:
        return Located(
            found[0], path.parent, [f"{said[0]}; taken: {found[0].name}, the only one beside it"]
        )
    there = ", ".join(p.name for p in found) or "no other"
    raise NotFoundError(f"{path}: {said[0]}; there is {there}: give the one that you mean")


def _unknown(path: Path, index: Path) -> Exception:
    """What to say of a file that is neither."""
    if (error := refusal(path)) is not None:
        return error
    if ENDINGS.search(path.name):
        return NotFoundError(
            f"{path} is a part of a checkpoint whose {index.name} is missing; put that beside it"
        )
    step = BESIDE.get(path.suffix.lower(), "give a checkpoint's folder, prefix or file")
    return IntegrityError(f"{path}: neither a TensorFlow checkpoint nor HDF5; {step}")


def _absent(path: Path, index: Path) -> Exception:
    """What to say of a path that leads nowhere."""
    if path.is_symlink():
        return NotFoundError(
            f"no checkpoint {path}: it is a link to {path.readlink()}, which does not exist"
        )
    folder = path.parent
    if not folder.is_dir():
        for archive in path.parents:
            if archive.is_file() and is_archive(archive):
                place = f"{archive}{SIGN}{path.relative_to(archive).as_posix()}"
                return NotFoundError(
                    f"no checkpoint {path}: a place in an archive is given as {place}"
                )
        step = "check the name"
        if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", path.as_posix(), re.ASCII):
            step += "; a model of a hub is downloaded first, and its folder given"
        return NotFoundError(f"no checkpoint {path}: there is no folder {folder}; {step}")
    files = visible_files(folder)
    near = [p.name for p in files if p.suffix == ".index"]
    half = [p for p in files if UNFINISHED.search(p.name) and p.name.startswith(index.stem)]
    if half:
        return IntegrityError(f"{half[0]}: an unfinished download; let it end, or start it again")
    if path.exists():
        return NotFoundError(f"no checkpoint {path}: it is neither a file nor a folder")
    alike = [p.name for p in folder.iterdir() if _composed(p.name) == _composed(path.name)]
    if alike:
        return NotFoundError(
            f"no checkpoint {path}: {alike[0]} looks the same, but its letters and accents are "
            "other characters (macOS writes them apart); rename it, or give the folder it is in"
        )
    hint = f"; there is {', '.join(near[:SHOWN])}" if near else "; check the name"
    return NotFoundError(f"no checkpoint {path}: neither {index.name} nor this file exists{hint}")


def _composed(name: str) -> str:
    """A name in Unicode's composed form."""
    return unicodedata.normalize("NFC", name)


def _empty(folder: Path, finds: Finds) -> Exception:
    """What to say of a folder without any checkpoint, from what it holds instead."""
    for path in finds.others:
        if UNFINISHED.search(path.name):
            return IntegrityError(
                f"{path}: an unfinished download; let it end, or download the file again"
            )
    parts = [path for path in finds.others if ENDINGS.search(path.name)]
    if parts:
        index = parts[0].with_name(f"{ENDINGS.sub('', parts[0].name)}.index")
        return _unknown(parts[0], index)
    if (folder / ".index").is_file():
        return _nameless(folder / ".index")
    words = f"{folder}: holds no checkpoint (.index, .weights, .h5, .keras or a V1 file)"
    if said := named_in(folder / NAMED)[1]:
        return NotFoundError(f"{words}; {said[0]}; put its files there")
    archives = [path for path in finds.others if is_archive(path)]
    if archives:
        names = ", ".join(path.name for path in archives[:SHOWN])
        step = "give that file" if len(archives) == 1 else "give one of them"
        return NotFoundError(f"{words}; it holds {names}: {step}")
    instead = [str(error) for path in finds.others if (error := refusal(path))]
    if instead:
        return NotFoundError(f"{words}; {'; '.join(instead[:SHOWN])}")
    return NotFoundError(words)


def _nameless(path: Path) -> Exception:
    """What to say of a checkpoint whose files are called `.index` and `.data-...`."""
    return UsageError(
        f"{path}: a checkpoint of an empty name, as save_weights('folder/') makes; rename its "
        "files to model.index and model.data-00000-of-00001"
    )
