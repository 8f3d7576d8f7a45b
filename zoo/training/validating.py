"""Texts that are kept from training: which of them, and how right a model is on all."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .divergence import LOSS_EXAMPLES, in_use
from .material import some
from .scoring import LOSS, SCORES

VALIDATED = 256  # texts of the validation split, at most, where no score is asked for


def whole(rows: Any) -> list[Any]:
    """All rows, those of like length together."""
    return sorted(rows, key=lambda row: row["length"])


def a_few(rows: Any) -> list[Any]:
    """Rows to validate a model with, at most `VALIDATED`."""
    if hasattr(rows, "select"):  # no stream
        return list(rows.select(some(len(rows), VALIDATED)))
    return list(itertools.islice(iter(rows), VALIDATED))


def validate(
    model: Any,
    task: str,
    rows: Sequence[Any],
    make_batch: Callable[[Sequence[Any]], Mapping[str, Any]],
) -> dict[str, float]:
    """The loss of a model, a mean over texts in nats, and its scores, by name.

    In eval mode, with the same random numbers each time; mode and random state do not change.

    Args:
        model: of texts.
        task: that it is trained for, a key of `TASKS`.
        rows: of texts, at least one.
        make_batch: makes what the model is called with.
    """
    scored, total = SCORES.get(task), 0.0
    pairs: list[tuple[Any, Any]] = []
    with in_use(model, seed=0):
        for start in range(0, len(rows), LOSS_EXAMPLES):
            part = rows[start : start + LOSS_EXAMPLES]
            batch = make_batch(part)
            outputs = model(**batch)
            total += float(outputs.loss) * len(part)
            pairs += scored.pairs(model, outputs, batch) if scored else ()
    found = {LOSS: total / len(rows)}
    if scored is None:
        return found
    return found | scored.scores([one for one, _ in pairs], [other for _, other in pairs])
