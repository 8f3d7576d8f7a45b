"""`genae evaluate`: what a card states, compared with what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import Device, Json, Models, Quiet, console, hint, print_json, say
from zoo.errors import ToleranceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from zoo.evaluation import Measurement


BOUNDS = ("floor", "ceiling")  # beside a number, of those metrics that have them
COUNTS = ("correct", "found", "true")  # of a kind of label, entity or relation
MAX_KINDS = 30  # rows


def evaluate(
    models: Models,
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
        typer.Option(
            min=0, max=2**63 - 1, help="Seed in place of the card's, or of 0; repeatable."
        ),
    ] = None,
    device: Device = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print [[results]] blocks to paste into the card.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="Record the numbers in the folder's card, README and manifest."
        ),
    ] = False,
    restate: Annotated[
        bool,
        typer.Option(
            "--restate", help="State what was measured where the card is off, with --record."
        ),
    ] = False,
    require_stated: Annotated[
        bool,
        typer.Option(
            "--require-stated", help="Exit with code 9 if the card does not state a number, too."
        ),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model; exit with code 9 if a number is outside its stated tolerance.

    Without --metric, everything the card states is measured again. With --set or --seed a metric
    is measured so, and compared with the card where it states the same. Several models are
    measured by --metric alike, on the same data, or refused: a column each.
    """
    from zoo.card.toml import setting
    from zoo.evaluation.metrics import table

    if as_toml and as_json:
        raise UsageError("--toml and --json are two formats; give one of them")
    for name in metric or ():
        table.find(name)  # before torch is imported, which takes seconds
    if restate and not record:
        raise UsageError("--restate changes the numbers that --record records; give both")
    if (options or seed) and not metric:
        raise UsageError("--set and --seed are of metrics; name one with --metric")
    if len(models) > 1 and (record or as_toml):
        raise UsageError("--record and --toml are of one model; leave the others out")
    chosen = dict(setting(text) for text in options or ())
    settings: dict[str, Any] = {
        "data": data, "split": split, "options": chosen, "seeds": seed or None, "quiet": quiet,
        "device": device,
    }  # fmt: skip
    model = models[0]
    folder = _recordable(model) if record else None
    from zoo import gathering, ranks
    from zoo.device import find_device
    from zoo.evaluation import comparing, measure

    used = str(find_device(device))
    with gathering.joined():
        if len(models) > 1:
            rows = comparing.compare(models, metric or (), **settings)
        else:
            rows = [[m] for m in measure.evaluate(model, metrics=metric or None, **settings)]
    measured = [found for row in rows for found in row]
    named = list(zip(models * len(rows), measured, strict=True))
    if folder is not None and ranks.is_first():
        _record(folder, model, measured, used, restate=restate)
    if as_toml:
        typer.echo(toml_blocks(model, measured, used), nl=False)
    elif as_json:
        from zoo.evaluation.results import as_dict

        print_json([{"model": name, **as_dict(found)} for name, found in named])
    else:
        console().print(_table(measured) if len(models) == 1 else _side_by_side(models, rows))
        if len(models) == 1:
            _show_kinds(measured)
        for bound in BOUNDS:
            kinds = [m for m in measured if getattr(m, bound) is not None]
            for text in dict.fromkeys(getattr(table.METRICS[m.name], bound) for m in kinds):
                say(f"{bound}: the same metric of {text}", quiet=quiet)
    failed = measure.failures(measured)
    if folder is not None:
        say(f"{folder}: recorded in card, README and manifest", quiet=quiet or bool(failed))
        if failed and restate:
            return
    else:
        for line in _not_compared(named, alone=len(models) == 1):
            say(line, quiet=quiet)
        if (
            len(models) == 1
            and Path(model).is_dir()
            and not any(m.ok is not None for m in measured)
        ):
            hint(again(record=True), quiet=quiet)  # a first number for its card
    if failed:
        if folder is not None:
            failed[-1] += f". `{again(restate=True)}` has the card state what was measured"
        raise ToleranceError(f"outside the stated tolerance: {'; '.join(failed)}")
    if require_stated and folder is None and (left := [m for m in measured if m.ok is None]):
        texts = (f"{m.metric} on {m.dataset} {m.split}" for m in left)
        raise ToleranceError(f"the card does not state {'; '.join(texts)} as measured")


def _not_compared(named: list[tuple[str, Measurement]], *, alone: bool) -> Iterator[str]:
    """One line for each measurement that the card states otherwise, and one for those it leaves.

    Args:
        named: models and what was measured on each.
        alone: whether there is one model.
    """
    for name, found in named:
        if found.apart:
            yield f"{name} states {found.metric} otherwise, so it was not compared: {found.apart}"
    left = [found for _, found in named if found.ok is None and not found.apart]
    if left and (alone or len(left) == len(named)):
        what = "nothing" if len(left) == len(named) else f"{len(left)} of {len(named)} numbers not"
        card = "the card states" if alone else "the cards state"
        yield f"{what} compared: {card} no number for this data, split, seed and these options"


def _recordable(model: str) -> Path:
    """The folder whose card is to state the numbers; checked before minutes are spent on them."""
    from zoo.card import Card
    from zoo.registry import upkeep

    folder = upkeep.own_folder(model)
    upkeep.check_unchanged(folder)
    Card.load(folder)
    return folder


def _record(
    folder: Path, model: str, measured: list[Measurement], device: str, *, restate: bool
) -> None:
    """Put the numbers into the model's own folder."""
    import zoo
    from zoo.card import Card
    from zoo.evaluation.results import results
    from zoo.registry import upkeep

    new = [one for one in measured if one.ok is None]
    card = Card.load(folder)
    made = results(
        measured,
        card.id,
        device=device,
        version=zoo.__version__,
        dataset=card.data.dataset if card.data else None,
    )
    upkeep.record(
        folder,
        made,
        toml_blocks(model, new, device) if new else "",
        restate=restate,
    )


def toml_blocks(model: str, measured: list[Measurement], device: str) -> str:
    """`[[results]]` blocks that name the model by the id of its card."""
    import zoo
    from zoo.evaluation.measure import load_card
    from zoo.evaluation.results import results_toml

    card = load_card(model)
    name = Path(model).name if card is None else card.id
    own = getattr(getattr(card, "data", None), "dataset", None)
    return results_toml(measured, name, device=device, version=zoo.__version__, dataset=own)


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
        verdict = {None: "", True: "ok", False: "OFF"}[m.ok]
        table.add_row(
            Text.assemble(m.metric, "\n", (options_text(m.options), "dim")),
            f"{m.dataset}, {m.split}",
            stated,
            f"{m.measured:.{digits}f}",
            *("" if (n := getattr(m, b)) is None else f"{n:.{digits}f}" for b in bounds),
            m.unit,
            Text(verdict, style="bold red" if m.ok is False else ""),
        )
    return table


def _show_kinds(measured: list[Measurement]) -> None:
    """Scores by label, type or predicate, commonest first; once for metrics of the same counts."""
    from rich.table import Table

    from zoo.evaluation.results import SCORES

    shown: list[Any] = []
    for m in measured:
        if len(m.by_kind) < 2 or m.by_kind in shown:
            continue
        shown.append(m.by_kind)
        table = Table(
            title=f"{m.dataset}, {m.split}", title_justify="left", box=None, pad_edge=False
        )
        for heading in ("kind", *SCORES, *COUNTS):
            table.add_column(heading, justify="left" if heading == "kind" else "right")
        rows = sorted(m.by_kind.items(), key=lambda kind: -kind[1].true)
        for kind, counts in rows[:MAX_KINDS]:
            numbers = (f"{getattr(counts, name):.4f}" for name in SCORES)
            table.add_row(kind, *numbers, *(f"{getattr(counts, name):,}" for name in COUNTS))
        console().print(table)
        if len(rows) > MAX_KINDS:
            say(f"and {len(rows) - MAX_KINDS} rarer kinds; --json has all")


def _side_by_side(models: list[str], rows: list[list[Measurement]]) -> Table:
    """What was measured, one row for each protocol, one column for each model."""
    from rich.table import Table
    from rich.text import Text

    from zoo.evaluation.metrics.table import METRICS
    from zoo.evaluation.results import options_text

    table = Table(box=None, pad_edge=False)
    for title in ("metric", "data", *models, "floor", "unit"):
        right = title in (*models, "floor")
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    for row in rows:
        first, digits = row[0], METRICS[row[0].name].digits
        floors = {found.floor for found in row}  # of an encoder's probe, one for each model
        floor = floors.pop() if len(floors) == 1 else None
        details = [f"seed {first.seed}", options_text(first.options)]
        table.add_row(
            Text.assemble(first.metric, "\n", (", ".join(filter(None, details)), "dim")),
            f"{first.dataset}, {first.split}",
            *(
                Text(
                    f"{m.measured:.{digits}f}{' OFF' * (m.ok is False)}",
                    style="bold red" if m.ok is False else "",
                )
                for m in row
            ),
            "" if floor is None else f"{floor:.{digits}f}",
            first.unit,
        )
    return table
