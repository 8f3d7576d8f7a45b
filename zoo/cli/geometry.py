"""`genae geometry`: the shape of a model's latent space, in numbers, text and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.calls import again
from zoo.cli.common import Device, Json, Model, Quiet, console, hint, print_json
from zoo.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.evaluation.geometry.survey import Survey

ENDINGS = (".html", ".htm")
MIN_IMAGES, MAX_IMAGES = 30, 20_000  # pairs of their codes are compared


def geometry(
    model: Model,
    data: Annotated[
        str | None, typer.Option(help="Data set to encode; the card's if not given.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the data set; the test split if there is one.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML page to write, with all figures."),
    ] = None,
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=MIN_IMAGES, max=MAX_IMAGES,
            help="Number of images to encode; as many others are held out.",
        ),
    ] = 2000,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the choice of images and all noise.")
    ] = 0,
    device: Device = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compare a model's codes with samples of N(0, I), as many and of the same size.

    Every statistic is shown with the range that such samples give; a paragraph says what differs.
    """
    from zoo import plots

    if output is not None:
        output = plots.prepare_output(output, endings=ENDINGS)
    from transformers.utils import logging

    from zoo.evaluation.geometry.examining import examine
    from zoo.evaluation.geometry.verdict import verdict
    from zoo.evaluation.measure import open_context
    from zoo.evaluation.planning import default_place
    from zoo.evaluation.subject import Subject

    # transformers draws a bar even for a file of 4 MB.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    context = open_context(model, device=device, quiet=quiet)
    if not {"encodes", "reconstructs"}.issubset(context.can):
        raise UsageError(
            f"{model} has no vectors of codes that can be decoded; `genae list` shows the "
            "autoencoders, and `genae evaluate` measures the others"
        )
    dataset, part, config = default_place(context, data, split)
    found = examine(model, Subject(context, dataset, part, seed, config), number)
    conclusion = verdict(found.survey)
    if output is not None:
        from zoo.evaluation.geometry.page import render

        plots.write_whole(render(found, conclusion).encode("utf-8"), output)
    facts = found.facts()
    if as_json:
        print_json(_answer(facts, found.survey, conclusion, output))
    else:
        console().print(_table(found.survey))
        typer.echo(f"\n{conclusion.paragraph}")
        if output is not None:
            typer.echo(str(output))
    if output is None:
        taken: dict[str, Any] = {"data": dataset, "split": part, "number": number, "seed": seed}
        hint(again(**taken, output="page.html"), quiet=quiet)


def _answer(facts: dict[str, Any], survey: Survey, conclusion: Any, output: Path | None) -> Any:
    """Everything, for programs."""
    return {
        **facts,
        "statistics": [statistic.as_dict() for statistic in survey.statistics.values()],
        "undefined": survey.undefined,
        "closeness": conclusion.closeness,
        "findings": list(conclusion.findings),
        "verdict": conclusion.paragraph,
        "output": output,
    }


def _table(survey: Survey) -> Table:
    """One row a statistic, the effect before the p-value."""
    from rich.table import Table
    from rich.text import Text

    from zoo.evaluation.geometry.verdict import band

    table = Table(box=None, pad_edge=False)
    for title in ("statistic", "value", "N(0, I) band", "p", "n", "d", "seed"):
        table.add_column(
            title, justify="left" if title == "statistic" else "right", overflow="fold"
        )
    for statistic in survey.statistics.values():
        row = statistic.row
        table.add_row(
            row.title + (f", {row.unit}" if row.unit else ""),
            Text(f"{statistic.value:.{row.digits}f}", style="" if statistic.within else "bold"),
            band(statistic),
            "" if statistic.p_value is None else f"{statistic.p_value:.2g}",
            f"{statistic.count}",
            f"{statistic.size}",
            f"{statistic.seed}",
        )
    return table
