"""`genae evaluate`: what a card states, compared with what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.common import Json, Model, Quiet, console, print_json, say
from zoo.errors import ToleranceError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.evaluation import Measurement


BOUNDS = ("floor", "ceiling")  # beside a number, of those metrics that have them


def evaluate(
    model: Model,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metric to measure; repeatable; all of the card's if not given."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data set in place of the card's.")] = None,
    split: Annotated[str | None, typer.Option(help="Split in place of the card's.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Option of the metrics named, such as num_images=500; repeatable. "
            "A list, jump=[true,false], measures each.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Seed in place of the card's, or of 0; repeatable."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device of the model; the CPU if not given.")
    ] = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print [[results]] blocks to paste into the card.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Record the numbers in the folder's manifest, for a push."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model; exit with code 9 if a number is outside its stated tolerance.

    Without --metric, everything the card states is measured again. With --set or --seed a metric
    is measured so, and compared with the card where it states the same.
    """
    from zoo.card.toml import setting
    from zoo.evaluation.metrics import table

    if as_toml and as_json:
        raise UsageError("--toml and --json are two formats; give one of them")
    for name in metric or ():
        table.find(name)  # before torch is imported, which takes seconds
    if record and (data or split or options or seed):
        raise UsageError(
            "--record keeps what the card states; leave --data, --split, --set and --seed out"
        )
    if (options or seed) and not metric:
        raise UsageError("--set and --seed are of metrics; name one with --metric")
    chosen = dict(setting(text) for text in options or ())
    from zoo.evaluation import measure

    measured = measure.evaluate(
        model,
        metrics=metric or None,
        data=data,
        split=split,
        options=chosen,
        seeds=seed or None,
        quiet=quiet,
        device=device,
    )
    failed = measure.failures(measured)
    if record:
        _record(model, measured, device or "cpu")
    if as_toml:
        typer.echo(toml_blocks(model, measured, device or "cpu"), nl=False)
    elif as_json:
        from zoo.evaluation.results import as_dict

        print_json([as_dict(measurement) for measurement in measured])
    else:
        console().print(_table(measured))
        for bound in BOUNDS:
            found = [m for m in measured if getattr(m, bound) is not None]
            for text in dict.fromkeys(getattr(table.METRICS[m.name], bound) for m in found):
                say(f"{bound}: the same metric of {text}", quiet=quiet)
    if failed:
        raise ToleranceError(f"outside the stated tolerance: {'; '.join(failed)}")


def _record(model: str, measured: list[Measurement], device: str) -> None:
    """Put the numbers into the manifest of the model's own folder."""
    import zoo
    from zoo.evaluation.measure import load_card
    from zoo.evaluation.results import results
    from zoo.registry import manifest, transfer

    card = load_card(model)
    if card is None:
        raise UsageError(f"{model} has no card whose numbers could be confirmed")
    folder = transfer.locate(model)
    if transfer.in_cache(folder):
        raise UsageError(
            f"{model} is in the cache, where nothing is changed; "
            f"`genae pull {model} --to FOLDER` copies it"
        )
    manifest.record(
        folder,
        results(measured, card.id, device=device, version=zoo.__version__),
    )


def toml_blocks(model: str, measured: list[Measurement], device: str) -> str:
    """`[[results]]` blocks that name the model by the id of its card."""
    from pathlib import Path

    import zoo
    from zoo.evaluation.measure import load_card
    from zoo.evaluation.results import results_toml

    card = load_card(model)
    name = Path(model).name if card is None else card.id
    return results_toml(measured, name, device=device, version=zoo.__version__)


def _table(measured: list[Measurement]) -> Table:
    """Stated beside measured, one row each."""
    from rich.table import Table
    from rich.text import Text

    from zoo.evaluation.metrics.table import METRICS
    from zoo.evaluation.results import options_text

    table = Table(box=None, pad_edge=False)
    bounds = [
        b for b in BOUNDS if b == "floor" or any(getattr(m, b) is not None for m in measured)
    ]
    for title in ("metric", "data", "stated", "measured", *bounds, "unit", ""):
        right = title in ("stated", "measured", *bounds)
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    for m in measured:
        digits = METRICS[m.name].digits
        stated = "" if m.stated is None else f"{m.stated:.{digits}f} ± {m.tolerance or 0:.2g}"
        verdict = "" if m.stated is None else "ok" if m.ok else "OFF"
        table.add_row(
            Text.assemble(m.metric, "\n", (options_text(m.options), "dim")),
            f"{m.dataset}, {m.split}",
            stated,
            f"{m.measured:.{digits}f}",
            *("" if (n := getattr(m, b)) is None else f"{n:.{digits}f}" for b in bounds),
            m.unit,
            Text(verdict, style="" if m.ok else "bold red"),
        )
    return table
