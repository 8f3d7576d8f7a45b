"""The verbs that draw: sample, reconstruct, interpolate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.chains import CHAINS
from zoo.cli.calls import again
from zoo.cli.common import Json, Model, Quiet, hint, print_json, say, whole_numbers
from zoo.drawing import MAX_SAMPLES, MAX_STEPS, NUMBER, OF_LABEL, SAMPLERS
from zoo.errors import UsageError
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.grids import Grid

SHOWN_PROBLEMS = 5  # a damaged folder should not fill the screen

Output = Annotated[
    Path, typer.Option("--output", "-o", help="Image to write: PNG, JPEG, WEBP, ...")
]
Columns = Annotated[
    int | None, typer.Option(min=1, help="Images per row; the grid is about square if not given.")
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES...",
        help="Image files, folders of images, or examples-mnist, -fashion-mnist, -faces.",
    ),
]


def sample(
    model: Model,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Image to write: PNG, JPEG, WEBP, ..."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--number",
            "-n",
            min=1,
            max=MAX_SAMPLES,
            help=f"Number of images; {NUMBER}, or {OF_LABEL} of each label, if not given.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Seed of the images; random if not given."),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Distribution of the codes, the first if not given. "
            f"{'; '.join(f'{name}: {text}' for name, text in SAMPLERS.items())}. "
            "Of a model with an energy: "
            f"{'; '.join(f'{name}: {text}' for name, text in CHAINS.items())}."
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Factor on the spread of the codes; below 1, images are more typical. Of chains: "
            "one temperature in place of their schedule."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Number of steps of chains; the model's own if not given."),
    ] = None,
    jump: Annotated[
        bool | None,
        typer.Option(
            "--jump/--no-jump", help="Denoise once at the end, as chains do if not given."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Image to write of some chains from noise to image."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Labels to draw, a row each, of a model whose codes have classes: 3, 0,2 or "
            "0-9; all if not given."
        ),
    ] = None,
    columns: Columns = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw new images from a model and write them as a grid."""
    from zoo import drawing, plots

    places = [plots.prepare_output(place) for place in (output, trace) if place is not None]
    if not places:
        raise UsageError("give --output, where the images go, or --trace")
    if len({place.resolve() for place in places}) < len(places):
        raise UsageError(f"{places[0]}: --output and --trace name the same file; give two")
    grid = drawing.sample(
        model,
        number,
        seed=seed,
        sampler=sampler,
        temperature=temperature,
        steps=steps,
        jump=jump,
        trace=trace is not None,
        labels=None if labels is None else whole_numbers("--labels", labels),
        columns=columns,
        quiet=quiet,
    )
    fitted, spreads = grid.facts.pop("fitted", []), grid.facts.pop("spreads", True)
    if output is not None:
        grid.save(places[0])
    if grid.trace is not None:
        grid.trace.save(places[-1])
    if as_json:
        found = {"trace": places[-1], "traced": grid.trace.facts["steps"]} if grid.trace else {}
        print_json({"output": output and places[0], **found, **grid.facts})
    else:
        typer.echo("\n".join(map(str, places)))
    seeded = {"number": grid.facts["number"], "seed": grid.facts["seed"]}
    first = places[0]
    if fitted and sampler in (None, "prior") and labels is None:
        name = first.with_stem(f"{first.stem}-{fitted[-1]}")
        hint(again(sampler=fitted[-1], output=name, **seeded), quiet=quiet)
    elif grid.facts["sampler"] in CHAINS and grid.trace is None:
        name = first.with_stem(f"{first.stem}-trace")
        hint(again(output=None, trace=name, **seeded), quiet=quiet)
    elif not Path(model).is_dir() or (Path(model) / "card.toml").is_file():
        hint(command("genae", "info", model), quiet=quiet)
    elif grid.trace is None and temperature is None and spreads:
        name = first.with_stem(f"{first.stem}-0.7")
        hint(again(temperature=0.7, output=name, **seeded), quiet=quiet)


def reconstruct(
    model: Model,
    images: Files,
    output: Output,
    columns: Columns = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files even if they are named.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write images, each above its reconstruction.

    Bad files inside a folder are skipped and counted; a bad file that is named is an error.
    """
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    grid = drawing.reconstruct(model, images, columns=columns, skip_bad=skip_bad, quiet=quiet)
    report_skipped(grid)
    answer(grid, output, as_json)
    error = grid.facts["mean_squared_error"]
    say(f"mean squared error {error:.5f} per pixel of [0, 1]", quiet=quiet)
    if len(grid.images) > 1:
        files = [entry["file"] for entry in grid.facts["images"][:2]]
        hint(command("genae", "interpolate", model, *files, "-o", "walk.png"), quiet=quiet)


def interpolate(
    model: Model,
    images: Files,
    output: Output,
    steps: Annotated[
        int, typer.Option(min=2, max=MAX_STEPS, help="Images per row, both ends included.")
    ] = 9,
    mode: Annotated[
        str, typer.Option(help="Path between two codes. slerp: along an arc; linear: straight.")
    ] = "slerp",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each pair of images, from the first to the second.

    Images are paired in order; if a folder contains an odd number, the last is left out.
    """
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    grid = drawing.interpolate(model, images, steps=steps, mode=mode, quiet=quiet)
    report_skipped(grid)
    if left := grid.facts.pop("left_out"):
        say(f"left out, because it has no partner: {left}", quiet=quiet)
    samples = grid.facts.pop("samples")
    answer(grid, output, as_json)
    following = ("sample", "-n", "64", "-o", "samples.png") if samples else ("info",)
    hint(command("genae", following[0], model, *following[1:]), quiet=quiet)


def answer(grid: "Grid", output: Path, as_json: bool) -> None:
    """Write a grid, and print its place, or with --json its facts."""
    grid.save(output)
    if as_json:
        print_json({"output": output, **grid.facts, "skipped": grid.skipped})
    else:
        typer.echo(str(output))


def report_skipped(grid: "Grid") -> None:
    """Name the files that were not read, quiet or not."""
    problems = grid.skipped
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"skipped {problem}")
    if problems:
        say(f"skipped {len(problems)} of {grid.num_files} files")
