"""Texts without their punctuation, as clauses and the mark that ends each."""

import re
import unicodedata
from typing import Any

VERSION = 1  # of what is made: what another one made is no use
#: Comma, full stop, enumeration comma, question and exclamation mark, semicolon and colon.
MARKS = ("\uff0c", "\u3002", "\u3001", "\uff1f", "\uff01", "\uff1b", "\uff1a")
#: Other spellings of the marks.
SPELLINGS = str.maketrans(",?!;:\uff0e", "\uff0c\uff1f\uff01\uff1b\uff1a\u3002")
OPENING, CLOSING = "([{\uff08\uff3b\u3014\u3016", ")]}\uff09\uff3d\u3015\u3017"
#: What editors wrote between the lines: notes, stage directions, names of tunes.
NOTES = re.compile(
    f"[{re.escape(OPENING)}][^{re.escape(OPENING + CLOSING)}]*[{re.escape(CLOSING)}]"
)
#: Places of characters that are lost.
LOST = frozenset("\u25a1\u25cb")


def split_clauses(text: str) -> list[tuple[str, str]] | None:
    """The clauses of a punctuated text, each with the mark behind it, one of `MARKS`.

    Of several marks in a row the first counts. Notes in brackets, quotation marks, digits and
    spaces are left out.

    Args:
        text: with its punctuation.

    Returns:
        None for a text with lost characters or a line that ends without a mark, whose clauses are
        not known, and for one without any.

    Example:
        >>> [clause for clause, mark in split_clauses("明月光。故鄉、")]
        ['明月光', '故鄉']
    """
    found: list[tuple[str, str]] = []
    for line in NOTES.sub("", text).translate(SPELLINGS).splitlines():
        clause = ""
        for character in line:
            if character in LOST:
                return None
            if unicodedata.category(character).startswith("L"):
                clause += character
            elif character in MARKS and clause:
                found.append((clause, character))
                clause = ""
        if clause:
            return None
    return found or None


def unpunctuated(table: Any) -> Any:
    """Punctuated texts as bare ones, whose characters are tagged by clause and mark.

    The first character of a clause has the tag `B-` and the mark that ends the clause, all others
    `I-` and that mark.

    Args:
        table: a `datasets.Dataset` or `IterableDataset` with the column `text`.

    Returns:
        The same with the columns `text` and `tags`, without texts whose clauses are not known.
    """
    import datasets

    place, words = datasets.Value("int64"), datasets.Value("string")
    tags = datasets.List({"start": place, "end": place, "label": words})
    return table.map(
        _bare,
        batched=True,
        remove_columns=table.column_names,
        features=datasets.Features({"text": words, "tags": tags}),
        fn_kwargs={"version": VERSION},
    )


def _bare(batch: dict[str, list[str]], version: int) -> dict[str, list[Any]]:
    """A batch of texts; the version makes `datasets` forget those of another."""
    known = [clauses for text in batch["text"] if (clauses := split_clauses(text))]
    tags = (
        [f"{'I' if at else 'B'}-{mark}" for clause, mark in clauses for at in range(len(clause))]
        for clauses in known
    )
    return {
        "text": ["".join(clause for clause, _ in clauses) for clauses in known],
        "tags": [
            [{"start": at, "end": at + 1, "label": label} for at, label in enumerate(labels)]
            for labels in tags
        ],
    }
