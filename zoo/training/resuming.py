"""What differs between an interrupted run and the one that would go on with it."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from zoo.card import Card
from zoo.card.toml import inline
from zoo.errors import ConflictError

from .settings import SETTABLE

IGNORED = ("results",)  # measured afterwards; --set leaves them out
SHOWN = 5
ABSENT = object()


class Change(NamedTuple):
    """One setting that differs.

    Attributes:
        key: `train.seed`, or a key of the card's top level.
        before: its value in the interrupted run; `ABSENT` where it had none.
        now: likewise in the new command.
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
        """Whether `--set` brings the value back."""
        return self.key.partition(".")[0] in SETTABLE and "." in self.key


def check_output(output: Path) -> None:
    """Refuse to overwrite anything; needs no torch, so that a command says it at once.

    Raises:
        ConflictError: the folder holds something.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConflictError(f"{output} exists already; choose another --output or remove it")


def changes(before: Card, now: Card) -> list[Change]:
    """The settings that two cards state differently, in the order of the second's file.

    Args:
        before: of the interrupted run.
        now: of the command that would go on.
    """
    old, new = _flat(before), _flat(now)
    return [
        Change(key, old.get(key, ABSENT), new.get(key, ABSENT))
        for key in {**new, **old}
        if old.get(key, ABSENT) != new.get(key, ABSENT)
    ]


def explain(found: list[Change]) -> str:
    """What differs, and what to do about it, in one line."""
    words = "; ".join(map(str, found[:SHOWN]))
    if len(found) > SHOWN:
        words += f"; and {len(found) - SHOWN} more"
    if not all(change.settable for change in found):
        return f"{words}. Resume with the card and settings of the start"
    back = [
        f"--set {shlex.quote(f'{change.key}={_toml(change.before)}')}"
        for change in found
        if change.before is not ABSENT
    ]
    without = [change.key for change in found if change.before is ABSENT]
    steps = [" ".join(back)] if back else []
    steps += [f"without {', '.join(without)}"] if without else []
    return f"{words}. Resume {'with ' if back else ''}{' and '.join(steps)}"


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
    """A value as `--set` takes it."""
    return value if isinstance(value, str) else inline(value)
