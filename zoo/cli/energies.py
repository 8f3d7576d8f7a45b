"""The verbs of models with an energy: energy, denoise, inpaint."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.common import Json, Model, Quiet, console, hint, print_json, say
from zoo.cli.images import Columns, Files, Output, answer, report_skipped
from zoo.energies import MASKS, MAX_SAMPLES
from zoo.errors import UsageError
from zoo.hints import command

SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Skip bad files even if they are named.")
]


def energy(
    model: Model,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image files or folders of images."),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option(
            "--grid", help="Show density, scores, samples and data of a model of the plane."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Image to write with --grid.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set of points to show; that of the model's card if not given."),
    ] = None,
    number: Annotated[
        int,
        typer.Option("--number", "-n", min=1, max=MAX_SAMPLES, help="Number of points to show."),
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the samples.")] = 0,
    skip_bad: SkipBad = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the energy of images in nats, or show what a model of the plane knows.

    The lower the energy, the likelier the image. Differences count; the number itself has an
    unknown constant, unless the model has a stored log Z.
    """
    from zoo import energies, plots

    if grid != (output is not None):
        raise UsageError("--grid and --output go together: the image of a model of the plane")
    place = None if output is None else plots.prepare_output(output)
    found = energies.energy(
        model,
        images or (),
        grid=grid,
        data=data,
        number=number,
        seed=seed,
        skip_bad=skip_bad,
        quiet=quiet,
    )
    if place is not None:
        answer(found, place, as_json)
        hint(command("genae", "info", model), quiet=quiet)
        return
    report_skipped(found)
    if as_json:
        print_json({**found.facts, "skipped": found.skipped})
    else:
        _print(found.facts)
    again = [entry["file"] for entry in found.facts["images"][:1]]
    hint(command("genae", "denoise", model, *again, "-o", "denoised.png"), quiet=quiet)


def _print(facts: dict[str, Any]) -> None:
    """Print a row for each image, and the mean."""
    from rich.table import Table

    from zoo.cli.tables import Name

    table = Table(box=None, pad_edge=False)
    table.add_column("image")
    table.add_column("energy, nats", justify="right")
    if facts["log_z"]:
        table.add_column("log p, nats", justify="right")
    for row in facts["images"]:
        cells = [row["energy"], row["log_density"]] if facts["log_z"] else [row["energy"]]
        table.add_row(Name(row["file"]), *(f"{value:.2f}" for value in cells))
    console().print(table)
    typer.echo(f"mean energy of {len(facts['images'])}: {facts['mean_energy']:.2f} nats")


def denoise(
    model: Model,
    images: Files,
    output: Output,
    sigma: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise, pixels lying in 0 to 1; "
            "the model's own level if not given."
        ),
    ] = None,
    noisy: Annotated[
        bool, typer.Option("--noisy", help="Take the images as noisy already; add no noise.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.")] = 0,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add noise to images and write each above its noisy and its denoised version.

    One step along the model's score, the mean of all clean images that may stand behind the noisy
    one: blurred where the noise leaves much open.
    """
    from zoo import energies, plots

    output = plots.prepare_output(output, images)
    grid = energies.denoise(
        model,
        images,
        sigma=sigma,
        noisy=noisy,
        seed=seed,
        columns=columns,
        skip_bad=skip_bad,
        quiet=quiet,
    )
    report_skipped(grid)
    answer(grid, output, as_json)
    if not noisy:
        before, after = grid.facts["mean_squared_error_noisy"], grid.facts["mean_squared_error"]
        say(f"mean squared error {before:.5f} with noise, {after:.5f} without", quiet=quiet)
    again = [entry["file"] for entry in grid.facts["images"][:1]]
    hint(
        command("genae", "inpaint", model, *again, "--mask", "lower", "-o", "filled.png"),
        quiet=quiet,
    )


def inpaint(
    model: Model,
    images: Files,
    output: Output,
    mask: Annotated[
        str,
        typer.Option(
            metavar="|".join((*MASKS, "FILE")),
            help="Part to hide; of an image file what is white.",
        ),
    ],
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Number of steps of the chains; the model's own if not given."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature of all steps; the model's own schedule if not given."),
    ] = None,
    jump: Annotated[
        bool, typer.Option("--jump/--no-jump", help="Denoise once at the end.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the chains.")] = 0,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hide a part of images and write each above what was seen of it and what was made of that."""
    from zoo import energies, plots

    output = plots.prepare_output(output, [*images, mask])
    grid = energies.inpaint(
        model,
        images,
        mask=mask,
        steps=steps,
        temperature=temperature,
        jump=jump,
        seed=seed,
        columns=columns,
        skip_bad=skip_bad,
        quiet=quiet,
    )
    report_skipped(grid)
    answer(grid, output, as_json)
    error = grid.facts["mean_squared_error"]
    say(f"mean squared error {error:.5f} per hidden pixel", quiet=quiet)
    again = [entry["file"] for entry in grid.facts["images"][:1]]
    hint(command("genae", "denoise", model, *again, "-o", "denoised.png"), quiet=quiet)
