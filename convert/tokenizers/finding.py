"""Which file near a checkpoint is its vocabulary.

Names are hints; whether a file fits is decided by its tokens, of which there is one for each row
of the embeddings, or some fewer where the table was padded.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.readers.archive import archive_of, split
from convert.readers.contents import UNFINISHED
from convert.tokenizers.candidates import Candidate, candidates, entries, is_pieces
from zoo.errors import IntegrityError, NotFoundError, UsageError

#: Vocabularies of forms that are not converted.
OTHER_FORMS = ("vocab.json", "encoder.json", "tokenizer.json", "vocab.pkl", "vocab.pickle")
PACKED = ("vocab.txt.gz", "vocab.txt.zip", ".model.gz", ".model.zip")
MAX_WARNINGS = 4
#: Tables are padded to multiples of this and of less.
MAX_PADDING = 1024
#: Where a SavedModel or a module of TensorFlow Hub has its files.
ASSETS = "assets"
#: What is given in place of a file to have none.
NONE = "none"


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        path: the vocabulary; None without.
        given: whether it was named, not looked for.
        notes: why it was taken.
        warnings: what was not taken, though it looks like a vocabulary.
    """

    path: Path | None
    given: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> Path | None:
        """The same where it is a list of tokens, one a line."""
        return None if self.path is None or is_pieces(self.path) else self.path


def fits(count: int, rows: int) -> bool:
    """Whether a vocabulary could be that of a table, the rows behind it padding."""
    return 0 <= rows - count < MAX_PADDING and 2 * count >= rows


def find_vocabulary(*places: Path, sizes: Sequence[int] = ()) -> Path | None:
    """The vocabulary near a checkpoint, a list of tokens or a SentencePiece model; None without.

    Args:
        places: as `choose_vocabulary`.
        sizes: as well.

    Raises:
        UsageError: there are several, and their sizes do not decide.
    """
    return choose_vocabulary(places, sizes=sizes).path


def choose_vocabulary(
    places: Sequence[Path],
    given: str | os.PathLike[str] | None = None,
    sizes: Sequence[int] = (),
    above: Sequence[Path] = (),
) -> Found:
    """Find the vocabulary near a checkpoint, and say why it is the one.

    Args:
        places: folders to look through, the checkpoint's own first; `assets` in them as well.
        given: the file where a person named it, a folder to look in, or "none" for none; also a
            name or place in the folders, such as `bert.zip!inner/vocab.txt` of an archive.
        sizes: how many tokens it may have, the likeliest first; none if that is not known.
        above: folders where other vocabularies may lie as well: from there, the size is exact.

    Raises:
        NotFoundError: the named file does not exist.
        UsageError: there are several, and their sizes do not decide.
    """
    if given is not None:
        return _named(Path(os.path.expanduser(given)), places, sizes)
    passed: list[Candidate] = []
    for place, far in _in_turn(places, above):
        seen = list(candidates(place, sizes))
        near = [one for one in seen if one.sure or one.tokens is not None]
        taken = _take(near, sizes, far)
        if taken is not None:
            return Found(taken.path, notes=tuple(_reasons(taken, near, places[0], sizes)))
        passed += near if far else seen
    warnings = itertools.islice(_warnings(passed, places, sizes), MAX_WARNINGS)
    return Found(None, warnings=tuple(warnings))


def _named(path: Path, places: Sequence[Path], sizes: Sequence[int]) -> Found:
    if str(path) == NONE and not path.exists():
        return Found(None, given=True)
    if path.is_dir():
        found = choose_vocabulary([path], sizes=sizes)
        if found.path is None:
            raise NotFoundError(f"{path}: contains no vocabulary; give its file: --vocab FILE")
        return replace(found, given=True, notes=(f"vocabulary: {found.path.name}, as given",))
    if not path.exists():
        inside = split(path)
        if inside is not None and not any(_is_in(place, inside[0]) for place in places):
            raise UsageError(
                f"{path} lies in another archive than the checkpoint: unpack {inside[0].name}, "
                "and give its file with --vocab FILE"
            )
        inner = path if inside is None else Path(inside[1])
        path = next((place / inner for place in places if (place / inner).is_file()), path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: give the vocabulary's file, or {NONE}")
    return Found(path, given=True, notes=(f"vocabulary: {path.name}, as given",))


def _is_in(place: Path, archive: Path) -> bool:
    """Whether a folder is one of an archive that was unpacked."""
    opened = archive_of(place)
    return opened is not None and os.path.samefile(opened, archive)


def _in_turn(places: Sequence[Path], above: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Folders, each once, and whether one is so far that the size must be exact."""
    seen: set[str] = set()
    for folders, far in ((places, False), (above, True)):
        for folder in folders:
            for place in (folder, folder / ASSETS):
                if (name := os.path.abspath(place)) not in seen and place.is_dir():
                    seen.add(name)
                    yield place, far


def _take(near: list[Candidate], sizes: Sequence[int], far: bool) -> Candidate | None:
    """The one that belongs to the checkpoint, or None.

    Raises:
        UsageError: several may.
    """
    sure = [one for one in near if one.sure]
    if len(near) == 1 and sure and not far:
        return sure[0]  # whatever is the matter with it is said where it is read
    if not sizes and not far:
        return _only(sure or near, sizes)
    for size in sizes:
        exact = _different(one for one in near if one.count == size)
        if far and len(exact) > 1:
            return None
        if exact:
            return _only(exact, sizes)
    if far:
        return None
    close = _different(one for one in near if any(fits(one.count, size) for size in sizes))
    return _only(close or sure, sizes)


def _only(several: list[Candidate], sizes: Sequence[int]) -> Candidate | None:
    if len(several) > 1:
        counts = " and ".join(str(one.count) for one in several if one.tokens is not None)
        sizes_known = f" (they have {counts} tokens, the checkpoint {sizes[0]} rows)"
        raise UsageError(
            "several vocabularies lie next to the checkpoint: "
            f"{', '.join(one.path.name for one in several)}; leave the one that belongs to it, or "
            f"name it with --vocab FILE{sizes_known if sizes and counts else ''}"
        )
    return several[0] if several else None


def _different(several: Iterable[Candidate]) -> list[Candidate]:
    """The first of those with the same tokens."""
    return list({one.tokens: one for one in reversed(list(several))}.values())[::-1]


def _reasons(
    taken: Candidate, near: list[Candidate], folder: Path, sizes: Sequence[int]
) -> Iterator[str]:
    """Why it was taken, where that is not plain."""
    others = [str(one) for one in near if one is not taken]
    inside = taken.path.parent == folder
    where = f"{taken}" if inside else f"{os.path.relpath(taken.path, folder)} from its folder"
    if others and sizes:
        yield (
            f"vocabulary: {where}, because the checkpoint has {sizes[0]} rows of embeddings; "
            f"not {', '.join(others)}"
        )
    elif not inside or not taken.sure:
        yield f"vocabulary: {where}"


def _warnings(
    passed: list[Candidate], places: Sequence[Path], sizes: Sequence[int]
) -> Iterator[str]:
    """What was seen and not taken, the likeliest first."""
    rows = f"; the checkpoint has {sizes[0]} rows of embeddings" if sizes else ""
    looks = "looks like a vocabulary and is not taken"
    for one in [*(one for one in passed if one.tokens), *(one for one in passed if one.problem)]:
        where = os.path.relpath(one.path, places[0])
        why = f"it has {one.count} tokens{rows}" if one.tokens else one.problem
        step = "" if "--vocab" in why else ". Give the one that belongs to it with --vocab FILE"
        yield f"{where} {looks}: {why}{step}"
    for path in (path for place in places for path in entries(place)):
        name = path.name.lower()
        if (
            path.is_symlink()
            and not path.exists()
            and ("vocab" in name or path.suffix == ".model")
        ):
            yield f"{path.name} {looks}: it is a link to {path.readlink()}, which does not exist"
        elif UNFINISHED.search(name) and ("vocab" in name or ".model" in name):
            yield f"{path.name} {looks}: an unfinished download; let it end, or start it again"
        elif name in OTHER_FORMS or name.endswith(PACKED):
            yield (
                f"{path.name} {looks}: a list of tokens (vocab.txt) or a SentencePiece model is "
                "read, unpacked; give one with --vocab FILE"
            )


def refused(what: str, rows: int, notes: Sequence[str] = ()) -> IntegrityError:
    """What to say of a vocabulary that is of another size than the checkpoint.

    Args:
        what: the file and what it has, in words.
        rows: of the embeddings.
        notes: what was unusual about the file.
    """
    unusual = f" ({'; '.join(notes)})" if notes else ""
    return IntegrityError(
        f"{what}, the checkpoint {rows} rows of embeddings{unusual}; give the vocabulary that "
        f"belongs to it with --vocab FILE, or --vocab {NONE} to convert without a tokenizer"
    )
