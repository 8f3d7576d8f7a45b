"""`genae gallery`: one page on which models run."""

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.common import Json, Quiet, complete_models, print_json, say, size
from zoo.gallery.writing import DEFAULT_SIZE, MAX_SIZE, MIN_SIZE


def gallery(
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML page to write.")],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...]",
            help="Ids or folders; a choice of shipped models of digits if not given.",
            autocompletion=lambda incomplete: complete_models(incomplete),
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            metavar="FILE",
            help="Image, or folder of images, to encode on the page; may be repeated.",
        ),
    ] = None,
    max_size: Annotated[
        float,
        typer.Option(min=MIN_SIZE, max=MAX_SIZE, help="Size of the page in MB at most."),
    ] = DEFAULT_SIZE,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one page on which models run, to be opened in any browser, from a disk as well.

    Nothing is installed and nothing is requested: samples by a seed, walks through latent spaces,
    drawings reconstructed and read.
    """
    from zoo import plots
    from zoo.gallery import writing

    output = plots.prepare_output(output, endings=writing.ENDINGS)
    made = writing.make_gallery(
        models or None, images=images or (), max_size=max_size, quiet=quiet
    )
    for name, reason in made.left_out.items():
        say(f"left out {name}: {reason}")
    made.save(output)
    if as_json:
        print_json(
            {
                "output": output,
                "bytes": made.size,
                "models": {name: list(parts) for name, parts in made.models.items()},
                "left_out": made.left_out,
            }
        )
        return
    typer.echo(str(output))
    count = len(made.models)
    shown = "1 model" if count == 1 else f"{count} models"
    say(f"{shown}, {size(made.size)}; open it in a browser", quiet=quiet)
