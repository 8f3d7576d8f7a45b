"""The verbs that ask language models."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from zoo.cli.calls import again
from zoo.cli.common import Json, Model, Quiet, console, hint, print_json
from zoo.filling import MAX_CANDIDATES


def fill_mask(
    model: Model,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="Texts with one [MASK] each, or several."),
    ],
    number: Annotated[
        int,
        typer.Option(
            "--number", "-n", min=1, max=MAX_CANDIDATES, help="Number of candidates per mask."
        ),
    ] = 5,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a masked language model puts in place of each [MASK], best first."""
    from zoo import filling

    answers = filling.fill_mask(model, texts, number=number)
    if as_json:
        print_json([asdict(answer) for answer in answers])
        return
    from rich.table import Table

    table = Table("text", "mask", "best first", box=None, pad_edge=False)
    for answer in answers:
        for place, candidates in enumerate(answer.masks, start=1):
            shown = "  ".join(f"{one.token} {one.probability:.0%}" for one in candidates)
            table.add_row(answer.text if place == 1 else "", str(place), shown)
    console().print(table)
    hint(f"{again(texts=texts[:1])} --json", quiet=quiet)


def generate(
    model: Model,
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", help="Text to begin with; - reads stdin.")
    ] = "",
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of tokens written; 50 if not given."),
    ] = None,
    num: Annotated[int, typer.Option("--num", "-n", min=1, help="Number of texts.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Divisor of the logits, above 0; 1 if not given.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Number of likeliest tokens to draw from.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Total probability of the likeliest tokens to draw from.")
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the likeliest token each time.")
    ] = False,
    beams: Annotated[
        int | None, typer.Option(min=1, help="Number of beams of a search for the likeliest text.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**63 - 1, help="Seed of the draws; another text each time if none."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Label to write by, of a model with a table of conditions."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let a language model write a text on, or turn it into another one."""
    from zoo import generating

    if prompt == "-":
        prompt = sys.stdin.read().rstrip("\n")
    written = generating.generate(
        model,
        prompt,
        max_new_tokens=max_new_tokens,
        num=num,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        greedy=greedy,
        beams=beams,
        seed=seed,
        label=label,
    )
    if as_json:
        print_json(asdict(written))
        return
    for text in written.texts:
        typer.echo(text)
    if not greedy and beams is None and seed is None:
        hint(again(prompt=prompt or None, seed=0), quiet=quiet)
