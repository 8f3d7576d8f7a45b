"""What to say of a path that leads to no checkpoint: what is there in its place, the next step."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from convert.readers.archive import SIGN, is_archive
from convert.readers.contents import UNFINISHED, refusal
from convert.readers.tensorflow.checkpoint_file import NAMED, named_in, visible_files
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.hints import correction

#: What names of TensorFlow's files have behind their prefix.
ENDINGS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
SHOWN = 5
#: Companion files of a checkpoint, by their endings, and what to give in their place.
COMPANIONS = {
    ".json": "give the checkpoint, and a configuration with --config FILE",
    ".txt": "give the checkpoint, and a vocabulary with --vocab FILE",
    ".model": "give the checkpoint, and a SentencePiece model with --vocab FILE",
}


def unknown(path: Path, index: Path) -> Exception:
    """What to say of a file that is neither."""
    if (error := refusal(path)) is not None:
        return error
    if ENDINGS.search(path.name):
        return NotFoundError(
            f"{path} is a part of a checkpoint whose {index.name} is missing; put that next to it"
        )
    step = COMPANIONS.get(path.suffix.lower(), "give a checkpoint's folder, prefix or file")
    return IntegrityError(f"{path}: neither a TensorFlow checkpoint nor HDF5; {step}")


def absent(path: Path, index: Path) -> Exception:
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
        step = correction(folder)
        if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", path.as_posix(), re.ASCII):
            step += "; a model of a hub is downloaded first, and its folder given"
        return NotFoundError(f"no checkpoint {path}: there is no folder {folder}; {step}")
    files = visible_files(folder)
    parts = [p for p in files if ENDINGS.search(p.name) and ENDINGS.sub("", p.name) == path.name]
    if parts:
        return unknown(parts[0], index)
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
    hint = f"there is {', '.join(near[:SHOWN])}" if near else correction(path)
    return NotFoundError(
        f"no checkpoint {path}: neither {index.name} nor this file exists; {hint}"
    )


def _composed(name: str) -> str:
    """A name in Unicode's composed form."""
    return unicodedata.normalize("NFC", name)


def empty(folder: Path, others: Sequence[Path]) -> Exception:
    """What to say of a folder without any checkpoint, from what it contains instead."""
    for path in others:
        if UNFINISHED.search(path.name):
            return IntegrityError(
                f"{path}: an unfinished download; let it end, or download the file again"
            )
    parts = [path for path in others if ENDINGS.search(path.name)]
    if parts:
        index = parts[0].with_name(f"{ENDINGS.sub('', parts[0].name)}.index")
        return unknown(parts[0], index)
    if (folder / ".index").is_file():
        return nameless(folder / ".index")
    words = f"{folder}: contains no checkpoint (.index, .weights, .h5, .keras or a V1 file)"
    if said := named_in(folder / NAMED)[1]:
        return NotFoundError(f"{words}; {said[0]}; put its files there")
    archives = [path for path in others if is_archive(path)]
    if archives:
        names = ", ".join(path.name for path in archives[:SHOWN])
        step = "give that file" if len(archives) == 1 else "give one of them"
        return NotFoundError(f"{words}; it contains {names}: {step}")
    instead = [str(error) for path in others if (error := refusal(path))]
    if instead:
        return NotFoundError(f"{words}; {'; '.join(instead[:SHOWN])}")
    return NotFoundError(words)


def nameless(path: Path) -> Exception:
    """What to say of a checkpoint whose files are called `.index` and `.data-...`."""
    return UsageError(
        f"{path}: a checkpoint of an empty name, as save_weights('folder/') makes; rename its "
        "files to model.index and model.data-00000-of-00001"
    )
