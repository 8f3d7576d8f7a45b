"""The verbs that draw: sample, reconstruct, interpolate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.common import Json, Model, Quiet, hint, print_json, say
from zoo.drawing import MAX_SAMPLES, MAX_STEPS, SAMPLERS
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.drawing import Sheet

SHOWN_PROBLEMS = 5  # a damaged folder should not fill the screen

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The image to write; PNG, JPEG, WEBP, ...")
]
Columns = Annotated[
    int | None, typer.Option(min=1, help="Images a row; the sheet is about square if not given.")
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES...",
        help="Image files, folders of them, or examples-mnist, -fashion-mnist, -faces.",
    ),
]


def sample(
    model: Model,
    output: Output,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, max=MAX_SAMPLES, help="How many images.")
    ] = 64,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Names the images; drawn if not given."),
    ] = None,
    sampler: Annotated[
        str,
        typer.Option(help=f"{'; '.join(f'{name}: {text}' for name, text in SAMPLERS.items())}."),
    ] = "prior",
    temperature: Annotated[
        float, typer.Option(help="Factor on the spread of the codes; below 1 is more typical.")
    ] = 1.0,
    columns: Columns = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw new images from a model and write them as one sheet."""
    from zoo import drawing, plots

    output = plots.prepare_output(output)
    sheet = drawing.sample(
        model,
        number,
        seed=seed,
        sampler=sampler,
        temperature=temperature,
        columns=columns,
        quiet=quiet,
    )
    fitted = sheet.facts.pop("fitted")
    answer(sheet, output, as_json)
    again = ("genae", "sample", model, "-n", str(number), "--seed", str(sheet.facts["seed"]))
    if fitted and sampler == "prior":
        name = output.with_stem(f"{output.stem}-{fitted[-1]}")
        hint(command(*again, "--sampler", fitted[-1], "-o", name), quiet=quiet)
    elif Path(model).is_dir() and not (Path(model) / "card.toml").is_file():
        name = output.with_stem(f"{output.stem}-0.7")
        hint(command(*again, "--temperature", "0.7", "-o", name), quiet=quiet)
    else:
        hint(command("genae", "info", model), quiet=quiet)


def reconstruct(
    model: Model,
    images: Files,
    output: Output,
    columns: Columns = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files that were named, too.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write images, each above what the model makes of it.

    Bad files inside a folder are skipped and counted; a bad file that is named stops the command.
    """
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    sheet = drawing.reconstruct(model, images, columns=columns, skip_bad=skip_bad, quiet=quiet)
    tell_skipped(sheet)
    answer(sheet, output, as_json)
    error = sheet.facts["mean_squared_error"]
    say(f"mean squared error {error:.5f} per pixel of [0, 1]", quiet=quiet)
    if len(sheet.images) > 1:
        files = [entry["file"] for entry in sheet.facts["images"][:2]]
        hint(command("genae", "interpolate", model, *files, "-o", "walk.png"), quiet=quiet)


def interpolate(
    model: Model,
    images: Files,
    output: Output,
    steps: Annotated[
        int, typer.Option(min=2, max=MAX_STEPS, help="Images a row, both ends included.")
    ] = 9,
    mode: Annotated[
        str, typer.Option(help="slerp: along the arc of the codes; linear: straight.")
    ] = "slerp",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each pair of images, from the first to the second.

    Images are paired in order; of an odd number from a folder the last is left out.
    """
    from zoo import drawing, plots

    output = plots.prepare_output(output, images)
    sheet = drawing.interpolate(model, images, steps=steps, mode=mode, quiet=quiet)
    tell_skipped(sheet)
    if left := sheet.facts.pop("left_out"):
        say(f"left out, because it has no partner: {left}", quiet=quiet)
    answer(sheet, output, as_json)
    hint(command("genae", "sample", model, "-n", "64", "-o", "samples.png"), quiet=quiet)


def answer(sheet: "Sheet", output: Path, as_json: bool) -> None:
    """Write a sheet, and say where or what is on it."""
    sheet.save(output)
    skipped = {} if sheet.facts.get("sampler") else {"skipped": sheet.skipped}
    if as_json:
        print_json({"output": output, **sheet.facts, **skipped})
    else:
        typer.echo(str(output))


def tell_skipped(sheet: "Sheet") -> None:
    """Say which files were not read, quiet or not."""
    problems = sheet.skipped
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"skipped {problem}")
    if problems:
        say(f"skipped {len(problems)} of {sheet.num_files} files")
