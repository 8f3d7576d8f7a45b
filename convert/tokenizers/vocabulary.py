"""vocab.txt of BERT and bert4keras: read, simplified, cut down to the tokens kept."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from convert import cjk
from zoo.errors import IntegrityError, NotFoundError, UsageError

UNKNOWN = "[UNK]"
#: What `simplify_vocab` puts first in every example of bert4keras's.
FIRST = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]")


def read_words(path: str | Path) -> list[str]:
    """The first word of each line, as bert4keras's `load_vocab` takes it; a blank line gives "".

    Args:
        path: a vocabulary in UTF-8; a byte-order mark is no part of its first token.

    Returns:
        One word a line, repeated ones too.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; check the name")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IntegrityError(
            f"{path}: not UTF-8 at byte {error.start}, line {line}; save the file as UTF-8"
        ) from None
    # The line ends of a file opened as text: not those of `splitlines`, which has U+2028 as well.
    return [(line.split() or [""])[0] for line in io.StringIO(text, newline=None)]


def read_vocab(path: str | Path) -> list[str]:
    """The tokens of a vocabulary, in the order of their ids.

    Args:
        path: as `read_words`.

    Returns:
        The tokens, all different: bert4keras gives a repeated token an id that another token has
        as well, which no tokenizer's file can say.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8, a token occurs twice, or there is none for unknown words.
    """
    tokens = read_words(path)
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if token in seen:
            raise IntegrityError(
                f"{path}: line {number} repeats {token!r} of line {seen[token]}; every token "
                "needs an id of its own"
            )
        seen[token] = number
    if UNKNOWN not in seen:
        raise IntegrityError(
            f"{path}: none of its {len(tokens)} lines is {UNKNOWN}, which words that are not in "
            "it become; is this the vocabulary of a BERT tokenizer?"
        )
    return tokens


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
