"""Measure a model and compare with what its card states."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import is_within
from zoo.data.splits import canonical
from zoo.device import own_device
from zoo.errors import NotFoundError, UsageError
from zoo.scores import Counts

from .metrics import table
from .planning import Request, check, choices_of, default_place, plan, stated_request
from .subject import Context, Outcome, Subject


@dataclass(frozen=True)
class Measurement:
    """One number, stated and measured.

    Attributes:
        name: of the metric in `METRICS`.
        metric: the name to show, with the features used.
        dataset: what it was measured on.
        split: of the data set.
        unit: of the value.
        stated: the number in the card; None if it states none for this protocol.
        measured: the number measured.
        tolerance: how far apart the two may be; None if nothing is stated.
        ok: whether they are within the tolerance; None if nothing was compared.
        floor: the same metric of real train images, if it has a floor.
        seed: of everything random.
        options: every option of the metric as used.
        seconds: duration.
        ceiling: the same metric of what cannot be surpassed, if it has a ceiling.
        apart: what was measured otherwise than the card states, if that kept them apart.
        by_kind: of labels, entities or relations, the counts of each kind.
    """

    name: str
    metric: str
    dataset: str
    split: str
    unit: str
    stated: float | None
    measured: float
    tolerance: float | None
    ok: bool | None
    floor: float | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    ceiling: float | None = None
    apart: str = ""
    by_kind: Mapping[str, Counts] = field(default_factory=dict)


def evaluate(
    model_id_or_dir: str | Path,
    *,
    card: Any = None,
    metrics: Sequence[str] | None = None,
    data: str | None = None,
    split: str | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    quiet: bool = False,
    device: str | None = None,
) -> list[Measurement]:
    """Measure what a model's card states, or the default metrics if it states nothing.

    Args:
        model_id_or_dir: an id, or a folder made by `genae train` or `genae pull`.
        card: a `zoo.card.Card` to use instead of the model's own.
        metrics: names of `METRICS` to measure; None for all that the card states.
        data: a data set in place of the card's. If its files are those of the card's, the numbers
            are compared with the card's, wherever it lies; otherwise with nothing.
        split: a split in place of the card's; its numbers are compared with nothing.
        options: of the metrics named, in place of those of the card; a list measures each.
        seeds: of the metrics named, in place of the card's or of 0; each is measured.
        quiet: draw no progress bars.
        device: of the model; None is the CPU, on which cards are measured.

    Returns:
        One measurement for each result stated or metric named, in order; with options or seeds one
        for each choice, compared with the card where it states the same.

    Raises:
        UsageError: for an unknown metric or option, one that does not fit the model, options
            without a metric, or a model without a card and no `data` to measure on.
        NotFoundError: if the model or the data set does not exist.
    """
    names = None if metrics is None else [table.find(name).name for name in metrics]
    chosen = bool(options) or seeds is not None
    if chosen and not names:
        raise UsageError("options and seeds are of metrics; name the metric to measure")
    context = open_context(
        model_id_or_dir, card, device=device, quiet=quiet, texts=True, data=data
    )
    data = data and context.recognize(data)
    if chosen and names:
        place = default_place(context, data, split)
        requests = [Request(name, *place, seed) for name in names for seed in seeds or (0,)]
        choices = choices_of(options or {})
        for request in requests:  # all of them, before minutes are spent on the first
            for choice in choices:
                check(context, replace(request, options=choice))
        return [found for each in requests for found in measure_all(context, each, choices)]
    requests = plan(context, names, data, split)
    return [measure(context, request) for request in requests]


def open_context(
    model_id_or_dir: str | Path,
    card: Any = None,
    *,
    device: str | None,
    quiet: bool,
    texts: bool = False,
    data: str | None = None,
) -> Context:
    """Load a model, its image processor or tokenizer, and its card.

    Args:
        model_id_or_dir: an id or a folder.
        card: instead of the model's own.
        device: where the model runs; None is the CPU.
        quiet: draw no progress bars.
        texts: whether a model of texts will do besides those of images.
        data: the data set in place of the card's.

    Raises:
        UsageError: it is a model of what will not do, or no card says what to measure it on.
    """
    from zoo.advice import advice
    from zoo.loading import model_at, processor_at, tokenizer_at
    from zoo.registry import resolve
    from zoo.registry.manifest import read_config

    name = str(model_id_or_dir)
    place = resolve(name)
    config = read_config(Path(place))
    entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    if entry.reads != "images" and not (texts and entry.reads == "texts"):
        raise UsageError(f"{name} is a {entry.title}, no model of images; {advice(name, config)}")
    # As the verbs compute: of texts in float32, whatever type the file has.
    model = model_at(place, **({"dtype": "float32"} if entry.reads == "texts" else {}))
    card = load_card(name) if card is None else card
    settings: dict[str, Any] = {"device": own_device(device), "quiet": quiet}
    if getattr(model.config, "input_shape", None) is not None:
        raise UsageError(
            f"{name} is a model of vectors, and what is measured here is of images; "
            "`genae density` says how likely points are"
        )
    if entry.reads == "images":
        return Context(model, processor_at(place, name), card, **settings)
    if getattr(card, "data", None) is None and data is None:
        raise UsageError(
            f"{name} is a {entry.title}, converted from a file of another library: its card "
            "states how close it is to the original, and names no texts to measure it on; give a "
            "data set with --data, such as wikitext2-small"
        )
    from .texts import TextContext

    return TextContext(model, tokenizer_at(place, name), card, **settings)


def load_card(name: str) -> Any:
    """The card of a model, or None if its folder has none."""
    from zoo import registry

    for place in (name, None):  # another owner's card is in the folder it was fetched to
        try:
            return registry.load_card(registry.resolve(name) if place is None else place)
        except NotFoundError:
            continue
    return None


def measure(context: Context, request: Request) -> Measurement:
    """Measure one thing.

    Raises:
        UsageError: if an option is out of its range.
    """
    from zoo.loading import quietly

    metric = table.METRICS[request.name]
    subject = Subject(context, request.dataset, request.split, request.seed, request.config)
    start = time.perf_counter()
    with quietly():
        outcome: Outcome = metric.function(subject, **request.options)
    apart = "" if request.stated is None else _apart(request.options, outcome.options)
    found = Measurement(
        name=metric.name,
        metric=table.display_name(metric.name, dict(outcome.options)),
        dataset=request.dataset,
        split=request.split,
        unit=metric.unit,
        stated=None,
        measured=outcome.value,
        tolerance=None,
        ok=None,
        floor=outcome.floor,
        seed=request.seed,
        options=dict(outcome.options),
        seconds=round(time.perf_counter() - start, 3),
        ceiling=outcome.ceiling,
        apart=apart,
        by_kind=dict(outcome.by_kind),
    )
    return found if apart else _judged(found, request)


def _apart(stated: Mapping[str, Any], used: Mapping[str, Any]) -> str:
    """Which options were used otherwise than stated, in words: data can be fewer than named."""
    different = {name: value for name, value in stated.items() if used.get(name, value) != value}
    return ", ".join(f"{name} {used[name]} in place of {different[name]}" for name in different)


def _judged(found: Measurement, stated: Request) -> Measurement:
    """A measurement compared with a number that is stated for it, if there is one."""
    if stated.stated is None:
        return found
    tolerance = stated.tolerance or 0.0
    ok = is_within(found.measured, stated.stated, tolerance)
    return replace(found, stated=stated.stated, tolerance=tolerance, ok=ok)


def measure_all(
    context: Context, request: Request, choices: Iterable[dict[str, Any]]
) -> list[Measurement]:
    """Measure one metric with several choices of options, each compared with the card.

    Args:
        context: the model and the memory.
        request: what the choices have in common.
        choices: options of each measurement; None means the default.

    Raises:
        UsageError: the metric does not fit the model or the options.
    """
    stated = [stated_request(context, result) for result in getattr(context.card, "results", ())]
    check(context, request)
    measured = []
    for options in choices:
        found = measure(context, replace(request, options=options))
        match = next((s for s in stated if _same(s, found)), None)
        measured.append(found if match is None else _judged(found, match))
    return measured


def _same(stated: Request, found: Measurement) -> bool:
    """Whether a card states a result for what was measured, with the same options."""
    used = {name: value for name, value in found.options.items() if value is not None}
    return (stated.name, stated.dataset, canonical(stated.split), stated.seed, stated.options) == (
        found.name,
        found.dataset,
        canonical(found.split),
        found.seed,
        used,
    )


def failures(measurements: Iterable[Measurement]) -> list[str]:
    """One phrase for each measurement outside its tolerance."""
    return [
        f"{m.metric} on {m.dataset} {m.split} is {m.measured:.6g}, stated {m.stated:.6g} "
        f"within {m.tolerance or 0:.2g}"
        for m in measurements
        if m.ok is False
    ]
