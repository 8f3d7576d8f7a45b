"""Several models measured alike, or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.data.identity import same_data
from zoo.data.splits import canonical
from zoo.errors import UsageError

from .measure import Measurement, measure_all, open_context
from .metrics import table
from .planning import Request, check, choices_of, default_place, fitting_metrics
from .subject import Context

ABSENT = object()


def compare(
    models: Sequence[str | Path],
    metrics: Sequence[str],
    *,
    data: str | None = None,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    quiet: bool = False,
    device: str | None = None,
) -> list[list[Measurement]]:
    """Measure several models by one protocol: data, split, seed and options are the same for all.

    Args:
        models: ids or folders.
        metrics: names of `METRICS` that fit every model.
        data: the data set; that of the models' cards if they have the same.
        split: of it; test if there is one.
        options: of the metrics, the defaults if not given; a list measures each.
        seeds: of everything random, each measured; 0 if not given.
        quiet: draw no progress bars.
        device: of the models; None is the CPU.

    Returns:
        For each protocol one measurement of each model, in their order; where a model's card
        states a number for just this protocol, the two are compared.

    Raises:
        UsageError: a metric or option is unknown or does not fit a model, or two models would not
            be measured alike, by default or because their images or texts are prepared otherwise.
        NotFoundError: a model or the data set does not exist.
    """
    names = [str(model) for model in models]
    contexts = [
        open_context(name, device=device, quiet=quiet, texts=True, data=data) for name in names
    ]
    chosen = [table.find(name).name for name in metrics]
    if not chosen:
        shared = [
            metric
            for metric in fitting_metrics(contexts[0])
            if all(metric in fitting_metrics(context) for context in contexts)
        ]
        raise UsageError(
            f"several models are compared by a metric; name it with --metric: {', '.join(shared)}"
            if shared
            else f"no metric fits all of {', '.join(names)}; measure each by itself"
        )
    places = [default_place(context, data, split) for context in contexts]
    for name, context, place in zip(names[1:], contexts[1:], places[1:], strict=True):
        _check_place((names[0], contexts[0], places[0]), (name, context, place))
        _check_alike(names[0], contexts[0].preparation, name, context.preparation, "prepared")
    choices = choices_of(options or {})
    rows: list[list[Measurement]] = []
    for metric in chosen:
        for context in contexts:
            for choice in choices:
                check(context, Request(metric, *places[0], options=choice))
    for metric in chosen:
        for seed in seeds or (0,):
            for choice in choices:
                row = [
                    measure_all(context, Request(metric, *place, seed), [choice])[0]
                    for context, place in zip(contexts, places, strict=True)
                ]
                for name, found in zip(names[1:], row[1:], strict=True):
                    _check_alike(names[0], row[0].options, name, found.options, metric)
                rows.append(row)
    return rows


def _check_place(
    one: tuple[str, Context, tuple[str, str, str | None]],
    other: tuple[str, Context, tuple[str, str, str | None]],
) -> None:
    """Raise `UsageError` unless two models are measured on the same split of the same data."""
    (first, own, (data, split, config)), (second, others, (data2, split2, config2)) = one, other
    same = same_data(own.places.get(data, data), others.places.get(data2, data2))
    if same and canonical(split) == canonical(split2) and config == config2:
        return
    raise UsageError(
        f"{first} is measured on {data}, {split}, and {second} on {data2}, {split2}; name one "
        "data set and split for both with --data and --split"
    )


def _check_alike(
    first: str, own: Mapping[str, Any], second: str, others: Mapping[str, Any], what: str
) -> None:
    """Raise `UsageError` for the first thing that is done to one model and not to the other."""
    for name in {**own, **others}:
        one, other = own.get(name, ABSENT), others.get(name, ABSENT)
        if one == other:
            continue
        differ = f"{name} is {_shown(one)} for {first} and {_shown(other)} for {second}"
        if what == "prepared":
            raise UsageError(f"{first} and {second} cannot be compared: {differ}")
        known = next(value for value in (one, other) if value is not ABSENT)
        raise UsageError(
            f"{what} of {first} and {second} cannot be compared: {differ}; --set {name}={known} "
            "measures both alike, if both have it"
        )


def _shown(value: Any) -> str:
    return "none" if value is ABSENT or value is None else str(value)
