"""`genae density`: how likely a model finds images, one number an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.common import Json, Model, Quiet, console, hint, print_json, say
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.evaluation.density.run import Densities

SHOWN = 20  # images whose own rows are printed


def density(
    model: Model,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IMAGES]...", help="Image files or folders of them."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="A data set instead of images.")] = None,
    split: Annotated[str, typer.Option(help="Its split.")] = "test",
    number: Annotated[
        int | None, typer.Option(min=1, help="A seeded choice of so many of its images.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="For each image; 5000, or 16 chains of the annealing."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="importance: from the encoder; annealed: from the decoder alone.")
    ] = "importance",
    temperatures: Annotated[int, typer.Option(min=1, help="Of the annealing.")] = 1000,
    gap: Annotated[
        int, typer.Option(min=0, help="Bound so many images of the model's own from both sides.")
    ] = 0,
    binarize: Annotated[
        str, typer.Option(help="Of grey images: none, stochastic, threshold or frozen.")
    ] = "none",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Names the estimate.")] = 0,
    parquet: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a table; a cut run goes on there.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the model runs; the CPU.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate log p of images in nats, bits per dimension, and how sure the estimate is.

    Estimates are lower bounds on average: more samples or temperatures make them higher.
    """
    from zoo.evaluation.density import run

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
    if found.facts["likelihood"] == "gaussian":
        say("a density of images made continuous, (k + u) / 256; bits are of 8-bit values",
            quiet=quiet)  # fmt: skip
    if not parquet and len(found.rows) > SHOWN and not as_json:
        words = ["--data", data, "--split", split] if data else [*(images or [])]
        words += ["--number", str(number)] if number else []
        words += ["--samples", str(samples)] if samples else []
        words += ["--method", method] if method != "importance" else []
        words += ["--temperatures", str(temperatures)] if method == "annealed" else []
        words += ["--binarize", binarize] if binarize != "none" else []
        words += ["--seed", str(seed), "--parquet", "densities.parquet"]
        hint(command("genae", "density", model, *words), quiet=quiet)


def _print(found: "Densities") -> None:
    """A row for each of a few images, and the means."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    titles = {
        "log_prob": "log p, nats", "bits_per_dim": "bits/dim", "standard_error": "± nats",
        "effective_sample_size": "ESS", "elbo": "ELBO, nats", "acceptance": "acceptance",
    }  # fmt: skip
    for name in found.columns:
        table.add_column(titles[name], justify="right")
    summary = found.summary
    shown = found.rows if len(found.rows) <= SHOWN else []
    for row in [*shown, {"name": f"mean of {len(found.rows)}", **summary}]:
        cells = (
            "–" if row[name] is None else f"{row[name]:.{DIGITS[name]}f}" for name in found.columns
        )
        table.add_row(str(row["name"]), *cells)
    console().print(table)
    error = summary["standard_error_of_mean"]
    if error is not None:
        typer.echo(f"standard error of the mean over images: {error:.2f} nats")
    typer.echo(
        f"effective sample size of {found.facts['samples']}: min "
        f"{summary['min_effective_sample_size']:.1f}, "
        f"median {summary['median_effective_sample_size']:.1f}"
    )
    if gap := summary.get("gap"):
        typer.echo(
            f"{gap['images']} images of the model's own: {gap['lower']:.2f} to "
            f"{gap['upper']:.2f} nats, gap {gap['mean']:.2f} (max {gap['max']:.2f}), "
            f"acceptance {gap['acceptance']:.2f}"
        )


DIGITS = {
    "log_prob": 2, "bits_per_dim": 4, "standard_error": 3, "effective_sample_size": 1, "elbo": 2,
    "acceptance": 2,
}  # fmt: skip
