"""Withdrawn versions: what is kept of one, and the refusal of whoever asks for it.

Standard library only.
"""

import datetime
import json
from collections.abc import Iterable

from zoo.errors import ConflictError, FrozenError, IntegrityError, UsageError, WithdrawnError
from zoo.registry.types import VERSION, Withdrawal, check_commit

MAX_BYTES = 4096
MAX_REASON = 500  # characters


def today() -> str:
    """The date of a push or a withdrawal, as `2026-11-29`."""
    return datetime.date.today().isoformat()


def reason(why: str | None) -> str:
    """The reason for a withdrawal on one line.

    Raises:
        UsageError: there is none, or it is too long.
    """
    text = " ".join((why or "").split())
    if not text or not text.isprintable() or len(text) > MAX_REASON:
        raise UsageError(
            f"a withdrawal has a reason of 1 to {MAX_REASON} characters, which whoever asks for "
            'the version reads: give it with --why "...".'
        )
    return text


def check_version(name: str, tag: str) -> str:
    """The tag of one version, as only versions are withdrawn.

    Raises:
        UsageError: it is a branch, a commit or nothing.
    """
    if not VERSION.fullmatch(tag):
        raise UsageError(f"say which version of {name} is meant, such as {name}@v1.0.0.")
    return f"v{tag.removeprefix('v')}"


def dumps(tag: str, withdrawal: Withdrawal) -> bytes:
    """What a registry keeps of a withdrawal."""
    table = {
        "schema": 1,
        "version": tag,
        "why": withdrawal.why,
        "date": withdrawal.date,
        "purged": withdrawal.purged,
    } | ({"commit": withdrawal.commit} if withdrawal.commit else {})
    return (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode()


def loads(text: bytes, where: str) -> Withdrawal:
    """Read what `dumps` wrote; `where` names it in messages.

    Raises:
        IntegrityError: it is malformed.
    """
    try:
        table = json.loads(text)
        why, date = table["why"], table["date"]
        datetime.date.fromisoformat(date)
        if table["schema"] != 1 or not isinstance(why, str) or not why.isprintable():
            raise ValueError("not of schema 1")
        commit = check_commit(table["commit"]) if "commit" in table else ""
        return Withdrawal(why[:MAX_REASON], date, bool(table.get("purged")), commit)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise IntegrityError(f"{where}: malformed ({error}).") from None


def refusal(
    name: str, tag: str, withdrawal: Withdrawal, versions: Iterable[str]
) -> WithdrawnError:
    """The error for whoever fetches a withdrawn version; `versions` are those to have instead."""
    others = ", ".join(versions)
    hint = f"ask for another version: {others}" if others else "there is no other version"
    return WithdrawnError(
        f"{name} {tag} was withdrawn on {withdrawal.date}: {withdrawal.why.rstrip('.')}; {hint}."
    )


def again(name: str, tag: str, withdrawal: Withdrawal) -> ConflictError:
    """The error of a withdrawal that there is already."""
    return ConflictError(
        f"{name} {tag} was withdrawn on {withdrawal.date} already: {withdrawal.why} "
        "(--undo takes that back)."
    )


def taken(name: str, tag: str) -> FrozenError:
    """The error of a push under the number of a withdrawn version."""
    return FrozenError(
        f"{name} {tag} was published and withdrawn, and the number of a version is used once."
    )
