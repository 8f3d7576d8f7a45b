"""What differs between an interrupted run and the command that would resume it."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zoo.card import Card
from zoo.card.toml import inline
from zoo.errors import ConflictError

from .settings import SETTABLE

START_FILE = "start.json"  # of a run: what its weights began as
IGNORED = ("results",)  # measured afterwards; --set removes them
MAX_SHOWN = 5
ABSENT = object()


class Change(NamedTuple):
    """One setting that differs.

    Attributes:
        key: `train.seed`, or a key of the card's top level.
        before: its value in the interrupted run; `ABSENT` if it had none.
        now: its value in the new command.
    """

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        """The key with both values."""
        before, now = map(_shown, (self.before, self.now))
        return f"{self.key} was {before}, now it is {now}"

    @property
    def settable(self) -> bool:
        """Whether `--set` can restore the value."""
        return self.key.partition(".")[0] in SETTABLE and "." in self.key


def check_output(output: Path) -> None:
    """Refuse to overwrite anything; needs no torch, so that a command fails at once.

    Raises:
        ConflictError: the folder holds something.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConflictError(f"{output} exists already; choose another --output or remove it")


def check_start(work: Path, record: Mapping[str, Any] | None) -> None:
    """Refuse to resume a run that began with other weights than it would begin with now.

    Args:
        work: the folder of the run.
        record: what a manifest would say of the weights of now; None for fresh ones.

    Raises:
        ConflictError: `start_from` names another version of its model by now.
    """
    if record is None:
        return
    file = work / START_FILE
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if before != record:
        raise ConflictError(
            f"the run in {work} began with other weights than start_from in [train] names now; "
            f"put those back, or remove {work} to start anew"
        )


def changes(before: Card, now: Card) -> list[Change]:
    """The settings that two cards state differently, in the order of the second's file.

    Args:
        before: of the interrupted run.
        now: of the command that would resume it.
    """
    old, new = _flat(before), _flat(now)
    return [
        Change(key, old.get(key, ABSENT), new.get(key, ABSENT))
        for key in {**new, **old}
        if old.get(key, ABSENT) != new.get(key, ABSENT)
    ]


def explain(found: list[Change]) -> str:
    """What differs, and how to resume, in one line."""
    text = "; ".join(map(str, found[:MAX_SHOWN]))
    if len(found) > MAX_SHOWN:
        text += f"; and {len(found) - MAX_SHOWN} more"
    if not all(change.settable for change in found):
        return f"{text}. Resume with the card and settings of the first run"
    settings = [
        f"--set {shlex.quote(f'{change.key}={_toml(change.before)}')}"
        for change in found
        if change.before is not ABSENT
    ]
    without = [change.key for change in found if change.before is ABSENT]
    steps = [" ".join(settings)] if settings else []
    steps += [f"without {', '.join(without)}"] if without else []
    return f"{text}. Resume {'with ' if settings else ''}{' and '.join(steps)}"


def _flat(card: Card) -> dict[str, Any]:
    """A card's settings by dotted key."""
    found: dict[str, Any] = {}
    for key, value in card.to_dict().items():
        if key in IGNORED:
            continue
        if isinstance(value, dict) and key in SETTABLE:
            found |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            found[key] = value
    return found


def _shown(value: Any) -> str:
    return "not given" if value is ABSENT else _toml(value)


def _toml(value: Any) -> str:
    """A value as `--set` reads it."""
    return value if isinstance(value, str) else inline(value)
