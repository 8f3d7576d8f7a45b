"""What a person says of heads, on the command line and in files: kinds, settings, labels."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.arguments import parse_option
from convert.heads.kinds import ALWAYS, KINDS
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.hints import correction

MAX_BYTES = 16 * 2**20


def read_labels(given: str | Path | Sequence[Any] | Mapping[Any, Any]) -> list[str]:
    """Names of labels in the order of their numbers.

    Args:
        given: a file with a label a line, or with a JSON list of names, or with a JSON table from
            number to name or from name to number; or such a list or table.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is no text.
        UsageError: there are no names, one is there twice, or numbers do not count from 0.
    """
    is_file = isinstance(given, str | Path)
    place = str(given) if is_file else "labels"
    told: Any = _content(Path(place).expanduser()) if is_file else given
    names = _ordered(told, place) if isinstance(told, Mapping) else [str(one) for one in told]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if not names or doubled:
        raise UsageError(
            f"{place}: {doubled[0]!r} stands there twice" if doubled else f"{place}: no label"
        )
    return names


def _content(path: Path) -> Any:
    text = _text(path)
    if text.lstrip()[:1] in "[{" and text.strip():
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            if text.lstrip().startswith("{"):
                raise IntegrityError(f"{path}: not JSON ({error}); correct it") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _text(path: Path) -> str:
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; {correction(path)}")
    if path.stat().st_size > MAX_BYTES:
        raise IntegrityError(f"{path}: {path.stat().st_size} bytes; is it the right file?")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: no text in UTF-8 ({error}); save it as that") from None


def _ordered(table: Mapping[Any, Any], place: str) -> list[str]:
    """Names of a table from numbers to names, or the other way round."""
    pairs = [
        (int(key), str(value)) if str(key).isdecimal() else (value, str(key))
        for key, value in table.items()
    ]
    if any(type(number) is not int for number, _ in pairs) or sorted(
        number for number, _ in pairs
    ) != list(range(len(pairs))):
        raise UsageError(f"{place}: numbers of labels have to count from 0, each once")
    return [name for _, name in sorted(pairs)]


def check_labels(names: Sequence[str], count: int, where: str) -> None:
    """Raise where there are more or fewer names than labels.

    Raises:
        UsageError: says both numbers.
    """
    if len(names) != count:
        raise UsageError(
            f"{len(names)} labels are given, and {where} has {count}; the first are "
            f"{', '.join(names[:3])}"
        )


def check_rules(table: Mapping[str, Any], count: int, where: str) -> None:
    """Raise where a rule of a chain speaks of a label that there is not, or leaves none.

    Args:
        table: of the head; its `starts`, `ends` and `forbidden` are looked at.
        count: how many labels there are.
        where: the head, in words.

    Raises:
        UsageError: names the rule.
    """
    for rule in ("starts", "ends", "forbidden"):
        given = table.get(rule)
        if given == [] and rule != "forbidden":
            raise UsageError(f"{rule} is []: no label is left; leave it out to allow all")
        numbers = [one for pair in given or () for one in (pair if type(pair) is list else [pair])]
        if beyond := [one for one in numbers if one >= count]:
            raise UsageError(
                f"{rule} has label {beyond[0]}, and {where} has {count}, counted from 0 to "
                f"{count - 1}"
            )


def read_heads(
    kinds: Sequence[str] | None,
    settings: Sequence[str] | None,
    file: Path | None,
) -> list[dict[str, Any]] | str | None:
    """Tables of heads as the command line has them; None where nothing is asked.

    Args:
        kinds: KIND or NAME=KIND of each, in the order of the file; "none" alone leaves heads out.
        settings: KEY=VALUE, for all heads that have it, or NAME.KEY=VALUE (`tuning.tune`).
        file: a TOML file with a table for each under its name, or an array `heads` of tables.

    Raises:
        UsageError: they contradict one another.
        NotFoundError: there is no such file.
        IntegrityError: it is no TOML.
    """
    if file is not None and kinds:
        raise UsageError("--heads FILE.toml and --head KIND: give one of them")
    tables = _of_file(file) if file is not None else [_of_word(word) for word in kinds or ()]
    if "none" in [table["kind"] for table in tables]:
        if len(tables) > 1 or settings:
            raise UsageError("--head none leaves all heads out; give no other and no settings")
        return "none"
    for word in settings or ():
        key, value = parse_option(word)
        if not tables:
            raise UsageError(f"--head-option {word}: of which head? Give --head KIND")
        having = [one for one in tables if "." in key or key in _settings(one["kind"])]
        for table in having or tables:
            table[key] = value
    return tables or None


def _settings(kind: str) -> tuple[str, ...]:
    one = KINDS.get(kind)
    return () if one is None else (*ALWAYS, *one.asked, *one.settings)


def _of_word(word: str) -> dict[str, Any]:
    name, sign, kind = word.rpartition("=")
    return {"name": name, "kind": kind} if sign else {"kind": kind}


def _of_file(path: Path) -> list[dict[str, Any]]:
    try:
        table = tomllib.loads(_text(path.expanduser()))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise IntegrityError(f"{path}: not TOML ({error}); correct it") from None
    listed = table.get("heads")
    inner = listed if isinstance(listed, Mapping) else table
    pairs = (
        [one for one in listed if isinstance(one, dict)]
        if isinstance(listed, list)
        else [{"name": name, **one} for name, one in inner.items() if isinstance(one, dict)]
    )
    if not pairs or any(not isinstance(one.get("kind"), str) for one in pairs):
        raise UsageError(
            f'{path}: a table for each head, with its kind: [tags] then kind = "crf" ...'
        )
    return [dict(one) for one in pairs]
