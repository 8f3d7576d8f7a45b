"""`genae attention`: where the heads of text models look, in numbers and on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.calls import again
from zoo.cli.common import Json, Model, Quiet, console, hint, print_json, say

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.evaluation.attention.reading import Part


def attention(
    model: Model,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Text that the model reads.")],
    beside: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Model to show at the side, on the same text."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Text for the decoder of an encoder-decoder; its encoder alone if not given.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML page or PNG image to write, with every layer and head."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show where the heads of a text model look: entropy, neighbours, first and last token."""
    from zoo.evaluation.attention.run import attention as attend
    from zoo.evaluation.attention.run import is_image

    found = attend(model, text, beside=beside, target=target, output=output)
    if as_json:
        print_json({**found.as_dict(), "output": output})
    else:
        for reading in found.readings:
            for part in reading.parts:
                console().print(_table(reading.model, part))
                typer.echo()
    if output is None:
        hint(again(output="heads.html"), quiet=quiet)
        return
    if not as_json:
        typer.echo(str(output))
    if is_image(output):
        from zoo.evaluation.attention.figure import fonts

        lacking = fonts(text + (target or ""))[1]
        if lacking:
            say(
                f"no installed font has {lacking[:20]}: tokens with these are numbered; a page "
                "(.html) shows them in any browser that has one",
                quiet=quiet,
            )


def _table(model: str, part: Part) -> Table:
    """One row a head, and what uniform attention would give."""
    from rich.table import Table

    from zoo.evaluation.attention.drawing import COLUMNS
    from zoo.evaluation.attention.reading import TITLES

    title = f"{model}: {TITLES[part.name].lower()}, {len(part.queries)} tokens"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("layer", "head", *(("logits",) if part.forms else ()), *COLUMNS):
        table.add_column(name, justify="left" if name == "logits" else "right")
    for layer, heads in enumerate(part.statistics(), start=1):
        form = [part.forms[layer - 1]] if part.forms else []
        for head, one in enumerate(heads, start=1):
            shown = [show(one) for show in COLUMNS.values()]
            table.add_row(str(layer), str(head), *form, *shown)
    even = [show(part.uniform()) for show in COLUMNS.values()]
    table.add_row("uniform", "", *([""] if part.forms else []), *even)
    return table
