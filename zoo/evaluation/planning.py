"""What is to be measured on a model: its card's results, or the metrics that fit it."""

import inspect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo import catalog
from zoo.data.splits import canonical
from zoo.errors import UsageError

from .metrics import table
from .subject import Context


@dataclass(frozen=True)
class Request:
    """One thing to measure, before it is measured."""

    name: str
    dataset: str
    split: str
    config: str | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    stated: float | None = None
    tolerance: float | None = None


def choices_of(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of options, of which a list gives several."""
    lists = [value if isinstance(value, list) else [value] for value in options.values()]
    return [dict(zip(options, values, strict=True)) for values in itertools.product(*lists)]


def plan(
    context: Context, names: list[str] | None, data: str | None, split: str | None
) -> list[Request]:
    """What to measure: the card's results, restricted and redirected, or defaults."""
    stated = [stated_request(context, result) for result in getattr(context.card, "results", ())]
    wanted = names
    if wanted is None:
        default = table.defaults(context.entry.name, context.likelihood, context.can)
        wanted = list(dict.fromkeys(request.name for request in stated)) or default
    requests = []
    for name in wanted:
        of_name = [request for request in stated if request.name == name]
        if not of_name:
            place = default_place(context, data, split)
            requests.append(Request(name, *place))
        requests += [_redirected(request, data, split) for request in of_name]
    for request in requests:  # check all of them before spending minutes on the first
        check(context, request)
    for dataset in dict.fromkeys(request.dataset for request in requests):
        context.note_other_files(dataset)
    return requests


def stated_request(context: Context, result: Any) -> Request:
    """A result of the card as a request."""
    data = getattr(context.card, "data", None)
    config = data.config if data is not None and data.dataset == result.dataset else None
    return Request(
        name=table.find(result.metric).name,
        dataset=result.dataset,
        split=result.split,
        config=config,
        seed=result.seed,
        options=dict(result.options or {}),
        stated=result.value,
        tolerance=result.tolerance,
    )


def _redirected(request: Request, data: str | None, split: str | None) -> Request:
    """The same metric on other data, for which the card states nothing."""
    dataset, part = data or request.dataset, split or request.split
    if (dataset, canonical(part)) == (request.dataset, canonical(request.split)):
        return request
    config = request.config if dataset == request.dataset else None
    return Request(request.name, dataset, part, config, request.seed, request.options)


def default_place(
    context: Context, data: str | None, split: str | None
) -> tuple[str, str, str | None]:
    """Data set, split and configuration if the card states none: the test split, if it exists.

    Otherwise the validation or train split of the card is taken, and stderr says so.
    """
    trained: Any = getattr(context.card, "data", None)
    if data is None and trained is None:
        raise UsageError(
            "the model has no card that names a data set; give one with --data, such as mnist"
        )
    dataset = trained.dataset if data is None else context.recognize(data)
    own = None if trained is None or trained.dataset != dataset else trained
    config = None if own is None else own.config
    if split is not None:
        return dataset, split, config
    others = ["train"] if own is None else [own.validation_split, own.train_split]
    candidates = ["test", *(name for name in others if name)]
    for candidate in candidates[:-1]:
        try:
            context.read(dataset, candidate, config)
        except UsageError:  # no such split; a data set that is missing is another error
            continue
        break
    else:
        candidate = candidates[-1]
    if candidate != "test":
        seen = own is not None and candidate == own.train_split
        whose = ", which the model was trained on" if seen else ""
        context.note(f"data set {dataset} has no test split: measured on {candidate}{whose}")
    return dataset, candidate, config


def check(context: Context, request: Request) -> None:
    """Raise `UsageError` unless the metric fits the model and has the options."""
    metric = table.METRICS[request.name]
    reason = metric.refusal(context.entry.name, context.likelihood, context.can)
    lacks = [ability for ability in (metric.needs, metric.also) if ability in context.cannot]
    if lacks:
        reason = f"{metric.name}: {context.cannot[lacks[0]]}"
    if reason is not None:
        raise UsageError(f"{reason}; {_fitting(context)}")
    known = inspect.signature(metric.function).parameters.values()
    options = [p.name for p in known if p.kind is inspect.Parameter.KEYWORD_ONLY]
    table.check_options(metric.name, request.options, options)


def _fitting(context: Context) -> str:
    """What the model can be measured with, or what is missing so that it could."""
    if fitting := fitting_metrics(context):
        return f"measure it with {', '.join(fitting)}"
    if context.can:
        return f"no metric is for a model that {' and '.join(context.can)}"
    if context.entry.can:
        return "this one was made of a part of another, for which there is no metric"
    return (
        f"the row of {context.entry.name!r} in zoo/catalog.py says of nothing that its models can "
        f"do it; name that there in `can`, of {', '.join(catalog.ABILITIES)}"
    )


def fitting_metrics(context: Context) -> list[str]:
    """Names of the metrics that fit the model."""
    traits = context.entry.name, context.likelihood, context.can
    return [row.name for row in table.METRICS.values() if row.refusal(*traits) is None]
