"""`genae probe`: what a classifier can read from each layer of a frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import Device, Json, Model, Quiet, console, print_json, say
from zoo.errors import UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.evaluation import Measurement

PROBES = {
    "linear": "logistic regression",
    "mlp": "200 hidden units",
    "knn": "5 nearest neighbours",
}
METRIC = "probe_accuracy"


def probe(
    model: Model,
    data: Annotated[
        str | None, typer.Option(help="Labelled data set; the card's if not given.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split to report on; default: the card's validation split, or test."),
    ] = None,
    fit_split: Annotated[
        str | None,
        typer.Option(help="Split to fit to; default: the card's train split, or train."),
    ] = None,
    tap: Annotated[
        list[str] | None, typer.Option(help="Layer to probe; repeatable; all if not given.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--probe", help="Probe: linear, mlp or knn; repeatable; all if not given."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Seed of the probes and the untrained encoder."),
    ] = 0,
    device: Device = None,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print [[results]] blocks to paste into the card.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit probes to a frozen encoder, and for comparison to an untrained one."""
    if as_toml and as_json:
        raise UsageError("--toml and --json are two formats; give one of them")
    for name in kind or ():
        if name not in PROBES:
            raise UsageError(f"no probe {name!r}. {did_you_mean(name, PROBES)}")
    from zoo.evaluation.measure import measure_all, open_context
    from zoo.evaluation.planning import Request
    from zoo.evaluation.representations import check_tap, taps

    context = open_context(model, device=device, quiet=quiet)
    wanted = [check_tap(context.model, name) for name in tap or ()] or taps(context.model)
    data = data and context.recognize(data)
    trained: Any = getattr(context.card, "data", None)
    own: Any = trained if trained is not None and data in (None, trained.dataset) else None
    if own is None and data is None:
        raise UsageError("the model has no card that names a data set; give one with --data")
    request = Request(
        METRIC,
        data or own.dataset,
        split or (own and own.validation_split) or "test",
        own and own.config,
        seed,
    )
    measured = measure_all(
        context,
        request,
        [
            {"probe": name, "tap": place, "fit_split": fit_split}
            for place in wanted
            for name in kind or PROBES
        ],
    )
    if as_toml:
        from zoo.cli.evaluate import toml_blocks

        typer.echo(toml_blocks(model, measured, str(context.device)), nl=False)
    elif as_json:
        from zoo.evaluation.results import as_dict

        print_json([as_dict(measurement) for measurement in measured])
    else:
        console().print(_table(measured))
        fitted = measured[0].options["fit_split"]
        say(
            f"fitted to {request.dataset} {fitted}, reported on {request.split}, "
            f"{measured[0].options['num_images']:,} images; shares of correct labels",
            quiet=quiet,
        )


def _table(measured: list[Measurement]) -> Table:
    """One row for each layer and probe: trained, untrained, what training added."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("layer", "probe", "trained", "untrained", "gain"):
        table.add_column(title, justify="left" if title in ("layer", "probe") else "right")
    for m in measured:
        floor = m.floor or 0.0
        table.add_row(
            m.options["tap"],
            PROBES[m.options["probe"]],
            f"{m.measured:.2%}",
            f"{floor:.2%}",
            f"{m.measured - floor:+.2%}",
        )
    return table
