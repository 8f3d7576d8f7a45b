"""The vocabulary as the old stack reads it: `vocab.txt`, SentencePiece models."""

from __future__ import annotations

import shutil
from pathlib import Path

from convert.arguments import read_json
from zoo.errors import IntegrityError


def write(folder: Path, out: Path, size: int, notes: list[str]) -> list[str]:
    """Bring a folder's vocabulary along.

    Args:
        folder: the model's.
        out: where to.
        size: rows of the table of tokens.
        notes: what a person should know is appended.

    Returns:
        The names of the files.

    Raises:
        IntegrityError: there is a `tokenizer.json` alone, and it is damaged.
    """
    copied = [path for path in sorted(folder.glob("*.model")) if path.is_file()]
    if (folder / "vocab.txt").is_file():
        copied.append(folder / "vocab.txt")
    for path in copied:
        shutil.copyfile(path, out / path.name)
    names = [path.name for path in copied]
    if not names and (words := _words(folder / "tokenizer.json", size)):
        lines = "".join(f"{word}\n" for word in words)
        (out / "vocab.txt").write_text(lines, encoding="utf-8", newline="\n")
        names.append("vocab.txt")
    if "vocab.txt" in names:
        count = len((out / "vocab.txt").read_bytes().splitlines())
        if count != size:
            notes.append(f"vocab.txt has {count} lines, the table of tokens {size} rows")
    if not names:
        notes.append("no vocab.txt and no SentencePiece model in the folder: the result has none")
    return names


def _words(path: Path, size: int) -> list[str]:
    """The tokens of a WordPiece `tokenizer.json`, one for each row of the table."""
    if not path.is_file():
        return []
    table = read_json(path)
    try:
        if table["model"]["type"] != "WordPiece":
            return []
        ids = {number: word for word, number in table["model"]["vocab"].items()}
        ids |= {token["id"]: token["content"] for token in table.get("added_tokens") or ()}
        return [str(ids.get(number, f"[unused{number}]")) for number in range(size)]
    except (KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path}: not a tokenizer's file ({error!r})") from None
