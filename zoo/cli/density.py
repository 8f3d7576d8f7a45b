"""`genae density`: how likely images are under a model, one number per image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.calls import again
from zoo.cli.common import Device, Json, Model, Quiet, console, hint, print_json, say

if TYPE_CHECKING:
    from zoo.evaluation.density.run import Densities

MAX_ROWS = 20  # images; of more only the mean is printed


def density(
    model: Model,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image files or folders of images."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data set in place of images.")] = None,
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "test",
    number: Annotated[
        int | None,
        typer.Option(min=1, help="Number of its images, chosen by the seed; all if not given."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Number of samples per image; 5000, or 16 chains of annealing."),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="Method. importance: from the encoder; annealed: from the decoder alone."
        ),
    ] = "importance",
    temperatures: Annotated[
        int, typer.Option(min=1, help="Number of annealing temperatures.")
    ] = 1000,
    gap: Annotated[
        int,
        typer.Option(min=0, help="Number of images of the model's own to bound from both sides."),
    ] = 0,
    binarize: Annotated[
        str,
        typer.Option(help="Binarisation of grey images: none, stochastic, threshold or frozen."),
    ] = "none",
    convert: Annotated[
        bool,
        typer.Option(
            "--convert", help="Take images of other sizes and colours, as the model sees them."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the estimate.")] = 0,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Table to write; an interrupted run resumes from it."),
    ] = None,
    device: Device = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate log p of images, in nats and bits per dimension, and the error of the estimate.

    Estimates are lower bounds on average: more samples or temperatures make them higher. A model
    with an energy gives that at once, and log p where it has a stored log Z.
    """
    from zoo import gathering
    from zoo.evaluation.density import run

    with gathering.joined():
        found = run.density(
            model,
            images or (),
            data=data,
            split=split,
            number=number,
            samples=samples,
            method=method,
            temperatures=temperatures,
            gap=gap,
            binarize=binarize,
            convert=convert,
            seed=seed,
            parquet=parquet,
            device=device,
            quiet=quiet,
        )
    if found.resumed:
        say(f"resumed after {found.resumed} images", quiet=quiet)
    if as_json:
        listed = {} if parquet else {"densities": found.rows}
        print_json({**found.facts, "parquet": parquet, "summary": found.summary, **listed})
    else:
        _print(found)
        if parquet:
            typer.echo(str(parquet))
    if converted := found.facts["converted"]:
        say(f"converted to {found.facts['form']}: {run.in_words(converted)}", quiet=quiet)
    if found.facts["likelihood"] == "gaussian":
        say("the density is of continuous images, (k + u) / 256; bits are of the 8-bit values",
            quiet=quiet)  # fmt: skip
    if not parquet and len(found.rows) > MAX_ROWS and not as_json:
        hint(again(seed=seed, parquet="densities.parquet"), quiet=quiet)


def _print(found: "Densities") -> None:
    """Print a row for each of a few images, and the means."""
    from rich.table import Table

    from zoo.cli.tables import Name

    table = Table(box=None, pad_edge=False)
    table.add_column("image")
    titles = {
        "energy": "energy, nats",
        "log_prob": "log p, nats", "bits_per_dim": "bits/dim", "standard_error": "± nats",
        "effective_sample_size": "ESS", "elbo": "ELBO, nats", "acceptance": "acceptance",
    }  # fmt: skip
    for name in found.columns:
        table.add_column(titles[name], justify="right")
    summary = found.summary
    shown = found.rows if len(found.rows) <= MAX_ROWS else []
    for row in [*shown, {"name": f"mean of {len(found.rows)}", **summary}]:
        cells = (
            "–" if row[name] is None else f"{row[name]:.{DIGITS[name]}f}" for name in found.columns
        )
        table.add_row(Name(str(row["name"])), *cells)
    console().print(table)
    error = summary["standard_error_of_mean"]
    if error is not None:
        typer.echo(f"standard error of the mean over images: {error:.2f} nats")
    if "min_effective_sample_size" in summary:
        typer.echo(
            f"effective sample size of {found.facts['samples']}: min "
            f"{summary['min_effective_sample_size']:.1f}, "
            f"median {summary['median_effective_sample_size']:.1f}"
        )
    if stored := found.facts.get("log_z"):
        typer.echo(f"log Z {stored['value']:.3f} ± {stored['standard_error']:.3f} nats")
    elif "log_z" in found.facts:
        typer.echo("log Z is not stored: energies have an unknown constant")
    if gap := summary.get("gap"):
        typer.echo(
            f"{gap['images']} images of the model's own: {gap['lower']:.2f} to "
            f"{gap['upper']:.2f} nats, gap {gap['mean']:.2f} (max {gap['max']:.2f}), "
            f"acceptance {gap['acceptance']:.2f}"
        )


DIGITS = {
    "energy": 2,
    "log_prob": 2, "bits_per_dim": 4, "standard_error": 3, "effective_sample_size": 1, "elbo": 2,
    "acceptance": 2,
}  # fmt: skip
