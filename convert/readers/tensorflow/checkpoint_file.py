"""TensorFlow's `checkpoint` file, which names the newest of several checkpoints in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from convert.readers.archive import is_clutter
from convert.readers.tensorflow.table import is_table
from zoo.errors import IntegrityError

NAMED = "checkpoint"
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
PATH = re.compile(
    rb"""^\s*model_checkpoint_path:\s*(?:"((?:[^"\\\n]|\\.)+)"|'((?:[^'\\\n]|\\.)+)')""",
    re.MULTILINE,
)
ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)")
ESCAPES = dict(zip(b"ntrabfv", b"\n\t\r\a\b\f\v", strict=True))


def visible_files(folder: Path) -> list[Path]:
    """The files of a folder, without hidden ones."""
    return sorted(p for p in folder.iterdir() if not is_clutter(p.name) and p.is_file())


def named_in(path: Path, *, strict: bool = False) -> tuple[Path | None, list[str]]:
    """What a `checkpoint` file names, if it is there, and what to say about it.

    The path is often another machine's: what it says below this folder is tried, then its last
    part alone, so that it never leads out of the folder.

    Raises:
        IntegrityError: `strict`, and it names none.
    """
    if not path.is_file():
        return None, []
    match = PATH.search(path.read_bytes()[: 2**20].removeprefix(b"\xef\xbb\xbf"))
    last = ""
    for reading in _readings(match[1] or match[2]) if match else ():
        parts = [part for part in re.split(r"[/\\]", reading) if part]
        if not parts or parts[-1] in (".", "..") or not parts[-1].isprintable():
            continue
        last = last or parts[-1]
        elsewhere = re.match(r"[/\\]|[A-Za-z]:", reading) or ".." in parts
        for tail in (parts[-1:],) if elsewhere else (parts, parts[-1:]):
            if found := _of_prefix(path.parent.joinpath(*tail)):
                moved = " (the path there is another machine's)" if len(tail) < len(parts) else ""
                said = f"taken: {'/'.join(tail)}, which `{NAMED}` names as the newest{moved}"
                return found, [said]
    if strict and not last:
        raise IntegrityError(f"{path}: names no checkpoint (model_checkpoint_path)")
    return None, [f"`{NAMED}` names {last}, which is not here"] if last else []


def _of_prefix(prefix: Path) -> Path | None:
    """The file to open for a prefix, if it is there."""
    index = prefix.with_name(f"{prefix.name}.index")
    if index.is_file():
        return index
    if prefix.is_file() and is_table(prefix):
        return prefix
    return first_shard(prefix)


def _readings(quoted: bytes) -> Iterator[str]:
    """A quoted text as protocol buffers mean it, then as a person may have written it."""

    def meant(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code[:1] in b"01234567":
            return bytes([int(code, 8) & 255])
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        return bytes([ESCAPES.get(code[0], code[0])])

    yield ESCAPE.sub(meant, quoted).decode("utf-8", "replace")
    yield quoted.decode("utf-8", "replace")


def first_shard(prefix: Path) -> Path | None:
    """The first file of a V1 checkpoint in parts, given its prefix."""
    if not prefix.parent.is_dir():
        return None
    parts = [
        path
        for path in visible_files(prefix.parent)
        if (match := SHARD.search(path.name)) and path.name[: match.start()] == prefix.name
        if int(match[1]) == 0 and is_table(path)
    ]
    return parts[0] if len(parts) == 1 else None
