"""The verbs that compress images and restore them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli.common import Json, Quiet, hint, print_json
from zoo.errors import UsageError
from zoo.hints import command
from zoo.staging import free_folder


def compress(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES|FOLDERS... OUT.gnz",
            help="Image files and folders, then the file to write (not with --dry-run).",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Id such as genae/vae-mnist-8bit, or a folder.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Predict the size from the ELBO; write nothing.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compress images into one file without loss, by bits back."""
    from zoo.compression import verbs

    if dry_run:
        sources = [path for path in images if path.suffix != ".gnz"]
        facts = verbs.predict(sources, model, quiet=quiet)
    elif len(images) < 2 or images[-1].suffix != ".gnz":
        raise UsageError(
            f"the last name is the file to write and ends in .gnz, got {str(images[-1])!r}; "
            "--dry-run needs none"
        )
    else:
        facts = verbs.compress(images[:-1], images[-1], model, quiet=quiet)
    if as_json:
        print_json(facts)
    else:
        typer.echo(_summary(facts))
    if not dry_run:
        from zoo.registry import embedded

        folder = free_folder(Path(images[-1].stem))
        here = Path(model).exists()
        options: list[str | Path] = ["--model", Path(model) if here else model]
        if not here and embedded.owns(model):
            options = []
        again = command("genae", "decompress", images[-1], folder, *options)
        hint(again, quiet=quiet)


def decompress(
    source: Annotated[
        Path, typer.Argument(metavar="FILE.gnz", help="File that `genae compress` wrote.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New folder; it may exist if it is empty.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Folder or id of the model, if it is not found by the id in the file.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the images of a compressed file, as PNG under their old names."""
    from zoo.compression import verbs

    facts = verbs.decompress(source, folder, model, quiet=quiet)
    if as_json:
        print_json(facts)
    else:
        typer.echo(f"{facts['folder']}: {facts['images']} images")


def _summary(facts: dict[str, Any]) -> str:
    about = "" if "output" in facts else "about "
    return (
        f"{facts.get('output', 'predicted')}: {facts['images']} images in {about}"
        f"{facts['bytes']:,} bytes, {about}{facts['bits_per_pixel']:.4f} bits per pixel; "
        f"the image files take {facts['file_bytes']:,}"
    )
