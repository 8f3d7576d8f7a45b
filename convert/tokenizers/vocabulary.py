"""vocab.txt of BERT and bert4keras: read, simplified, cut down to the tokens kept."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.readers.archive import path_of
from convert.readers.contents import check_content
from convert.tokenizers import cjk
from convert.tokenizers.spm_model import SPACE
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.hints import correction

UNKNOWN = "[UNK]"
#: What `simplify_vocab` puts first in every example of bert4keras's.
FIRST = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]")
#: Names that no text gives: it is split at brackets.
UNUSED = re.compile(r"\[unused([0-9]{1,9})\]")
#: The line ends of a file opened as text, and of one that was so opened twice; not those of
#: `splitlines`, which has U+2028 as well.
LINE_END = re.compile("\r*\n|\r")
SHOWN = 3  # of many that a note is about


@dataclass(frozen=True)
class Vocabulary:
    """A list of tokens, read.

    Attributes:
        tokens: in the order of their ids, all different.
        notes: what was unusual, and what was made of it.
    """

    tokens: list[str]
    notes: list[str]


def read_words(path: str | Path) -> list[str]:
    """The first word of each line, as bert4keras's `load_vocab` takes it; a blank line gives "".

    Args:
        path: a vocabulary in UTF-8; a byte-order mark is no part of its first token. Where every
            line has columns, parted by tabs, the first of them counts.

    Returns:
        One word a line, repeated ones too.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8, or something else than a vocabulary.
    """
    return _read(path_of(path))[0]


def _read(path: Path) -> tuple[list[str], list[str]]:
    """The words, and the second columns where there are such."""
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; {correction(path)}")
    check_content(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IntegrityError(
            f"{path}: not UTF-8 at byte {error.start}, line {line}; save the file as UTF-8"
        ) from None
    lines = LINE_END.split(text)
    lines = lines[:-1] if lines[-1] == "" else lines
    full = [line for line in lines if line.strip()]
    parted = all("\t" in line.rstrip() for line in full)
    if not parted or not any("\t" in line.strip() for line in full):
        return [_first(line) for line in lines], []
    columns = [line.split("\t") for line in lines]
    seconds = [column[1].strip() for column in columns if len(column) > 1]
    return [_first(column[0]) for column in columns], seconds


def _first(text: str) -> str:
    return (text.split() or [""])[0]


def read_vocab(path: str | Path) -> list[str]:
    """The tokens of a vocabulary; arguments and errors as `load_vocab`."""
    return load_vocab(path).tokens


def load_vocab(path: str | Path) -> Vocabulary:
    """Read a vocabulary as Google's reader does: ids are the numbers of lines, from 0.

    A blank line is the empty token, and of a repeated token the last line counts. The rows of the
    other lines are called `[unused...]`, which no text gives. bert4keras's reader counts otherwise
    behind a repeated line: there two tokens have one id.

    Args:
        path: as `read_words`; blank lines at its end are none.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8, a second column has other ids than the lines, or there is
            no token for unknown words.
    """
    path = path_of(path)
    words, seconds = _read(path)
    _check_ids(path, seconds)
    count = len(words)
    while words and not words[-1]:
        words.pop()
    if UNKNOWN not in words:
        raise _no_unknown(path, words)
    notes = []
    if blanks := count - len(words):
        which = (
            "the blank line at its end is"
            if blanks == 1
            else f"{blanks} blank lines at its end are"
        )
        notes.append(f"{path.name}: {which} no token")
    places: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        places.setdefault(word, []).append(number)
    names = free_names(places)
    tokens = list(words)
    for numbers in places.values():
        for number in numbers[:-1]:
            tokens[number] = next(names)
    if blank := places.pop("", None):
        notes.append(
            f"{path.name}: {_lines(blank)} blank, the empty token to Google's reader; no text "
            "gives it"
        )
    repeated = {word: numbers for word, numbers in places.items() if len(numbers) > 1}
    if repeated:
        shown = "; ".join(
            f"{word!r} in lines {', '.join(str(number + 1) for number in numbers)}"
            for word, numbers in itertools.islice(repeated.items(), SHOWN)
        )
        more = f" and {len(repeated) - SHOWN} more" if len(repeated) > SHOWN else ""
        notes.append(
            f"{path.name} has tokens more than once: {shown}{more}. As in Google's reader the "
            "last line has the token; the other rows are called [unused...], which no text gives"
        )
    return Vocabulary(tokens, notes)


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number + 1) for number in numbers[:SHOWN])
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"lines {shown}{more} are" if len(numbers) > 1 else f"line {shown} is"


def _check_ids(path: Path, seconds: Sequence[str]) -> None:
    """Raise where a second column gives the ids in another order than the lines."""
    if not seconds or not all(re.fullmatch("[0-9]{1,9}", one) for one in seconds):
        return
    ids = [int(one) for one in seconds]
    ordered = list(range(len(ids)))
    if sorted(ids) == ordered and ids not in (ordered, ordered[::-1]):
        line = next(number for number in ordered if ids[number] != number)
        raise IntegrityError(
            f"{path}: its second column has other ids than the lines (line {line + 1} has "
            f"{ids[line]}); sort the lines by that column"
        )


def _no_unknown(path: Path, words: Sequence[str]) -> IntegrityError:
    if are_pieces(words):
        return IntegrityError(
            f"{path}: pieces of a SentencePiece model, whose .model file is read; give that with "
            "--vocab FILE, or --vocab none to convert without a tokenizer"
        )
    like = [word for word in words if word.strip("[]<>").lower() == "unk"]
    hint = f" (it has {like[0]!r})" if like else ""
    return IntegrityError(
        f"{path}: none of its {len(words)} lines is {UNKNOWN}, which words that are not in it "
        f"become{hint}; is this the vocabulary of a BERT tokenizer? --vocab FILE names "
        "another, --vocab none converts without a tokenizer"
    )


def are_pieces(words: Sequence[str]) -> bool:
    """Whether words are the pieces of a SentencePiece model, as its `.vocab` file lists them."""
    return 4 * sum(word.startswith(SPACE) for word in words) > len(words)


def free_names(taken: Collection[str]) -> Iterator[str]:
    """Names for rows that no text gives: the numbers behind those that are taken."""
    found = (UNUSED.fullmatch(token) for token in taken)
    last = max((int(match[1]) for match in found if match), default=0)
    return (f"[unused{number}]" for number in itertools.count(last + 1))


def pad_vocab(tokens: Sequence[str], rows: int) -> list[str]:
    """The vocabulary with names for the rows behind its tokens."""
    return [*tokens, *itertools.islice(free_names(tokens), max(0, rows - len(tokens)))]


def simplify_vocab(
    tokens: Sequence[str], startswith: Sequence[str] | None = None
) -> tuple[list[str], list[int]]:
    """Leave out what bert4keras's `load_vocab(simplified=True)` leaves out.

    Args:
        tokens: the vocabulary.
        startswith: tokens to put first; the special tokens go unless they are among them.

    Returns:
        The tokens left, and their old ids: what `keep_tokens` wants.

    Raises:
        UsageError: a token of `startswith` is not in the vocabulary.
    """
    ids = {token: number for number, token in enumerate(tokens)}
    first = dict.fromkeys(startswith or ())
    unknown = [token for token in first if token not in ids]
    if unknown:
        raise UsageError(f"startswith names {unknown[0]!r}, which the vocabulary lacks")
    kept = [token for token in tokens if token not in first and not _redundant(token)]
    left = [*first, *kept]
    return left, [ids[token] for token in left]


def _redundant(token: str) -> bool:
    """Several characters, one of them CJK or punctuation."""
    if len(token) > 1:
        for character in _stem(token):
            if cjk.is_cjk(character) or cjk.is_punctuation(character):
                return True
    return False


def _stem(token: str) -> str:
    return token[2:] if token[:2] == "##" else token


def keep_vocab(tokens: Sequence[str], keep_tokens: Sequence[int], compound: int = 0) -> list[str]:
    """The vocabulary after `keep_tokens`.

    Args:
        tokens: the vocabulary before.
        keep_tokens: ids of the tokens kept, in their new order.
        compound: how many compound tokens are appended. They are named `[compound1]` and on: a
            text is split at brackets, so none gives such a token by accident.

    Returns:
        The tokens, in the order of their new ids.

    Raises:
        UsageError: an id is outside the vocabulary, or kept twice.
    """
    kept: dict[str, int] = {}
    for number in keep_tokens:
        if not 0 <= number < len(tokens):
            raise UsageError(f"keep_tokens: {number} is none of the ids 0 to {len(tokens) - 1}")
        if tokens[number] in kept:
            raise UsageError(f"keep_tokens: {number} is there twice; a token has one id")
        kept[tokens[number]] = number
    names = (f"[compound{number}]" for number in range(1, len(kept) + compound + 1))
    free = [name for name in names if name not in kept]
    return [*kept, *free[:compound]]
