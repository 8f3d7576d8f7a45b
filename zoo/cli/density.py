"""`genae density`: how likely a model finds pictures, one number a picture."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import Json, Model, Quiet, console, hint, print_json, say
from zoo.cli.inputs import load, read
from zoo.errors import InterruptedRunError, UsageError
from zoo.hints import command, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.evaluation.context import Context
    from zoo.evaluation.density import Plan

METHODS = {"importance": 5000, "annealed": 16}  # samples of a picture unless given
BINARIZATIONS = ("none", "stochastic", "threshold", "frozen")
SHOWN = 20  # pictures whose own rows are printed


def density(
    model: Model,
    pictures: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PICTURES]...", help="Picture files or folders of them."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="A data set instead of pictures.")] = None,
    split: Annotated[str, typer.Option(help="Its split.")] = "test",
    number: Annotated[
        int | None, typer.Option(min=1, help="A seeded choice of so many of its pictures.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="For each picture; 5000, or 16 chains of the annealing."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="importance: from the encoder; annealed: from the decoder alone.")
    ] = "importance",
    temperatures: Annotated[int, typer.Option(min=1, help="Of the annealing.")] = 1000,
    gap: Annotated[
        int, typer.Option(min=0, help="Bound so many pictures of the model's own from both sides.")
    ] = 0,
    binarize: Annotated[
        str, typer.Option(help="Of grey pictures: none, stochastic, threshold or frozen.")
    ] = "none",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Names the estimate.")] = 0,
    parquet: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write a table; a cut run goes on there.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where the model runs; the CPU.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate log p of pictures in nats, bits per dimension, and how sure the estimate is.

    Estimates are lower bounds on average: more samples or temperatures make them higher.
    """
    for value, known in ((method, METHODS), (binarize, BINARIZATIONS)):
        if value not in known:
            raise UsageError(f"{value!r} is not known here. {did_you_mean(value, known)}")
    if bool(pictures) == (data is not None):
        raise UsageError("give pictures, or a data set with --data, and not both")
    if number is not None and data is None:
        raise UsageError("--number chooses from a data set; give one with --data")
    network, processor = load(model, "decode")
    from zoo.evaluation.context import Context
    from zoo.evaluation.density import Plan, check

    context = Context(network, processor, device=device or "cpu", quiet=quiet)
    plan = Plan(
        method=method,
        samples=samples or METHODS[method],
        temperatures=temperatures if method == "annealed" else 0,
        binarization=binarize,
        seed=seed,
    )
    pixels, names = _pictures(context, pictures, data, split, number, seed, quiet)
    if binarize != "none" and context.likelihood != "bernoulli":
        raise UsageError(
            f"--binarize {binarize} is for a Bernoulli likelihood, and {model} has a "
            f"{context.likelihood} one; leave it out"
        )
    check(context, plan, pixels)
    facts = {"model": model, "data": data, "split": split if data else None, **vars(plan)}
    facts["likelihood"] = context.likelihood
    rows = _run(context, plan, pixels, names, facts, parquet, quiet)
    found = _summary(plan, rows) | {"pictures": len(rows)}
    if gap:
        found["gap"] = _gap(context, plan, gap, temperatures)
    named = [{"name": n, **_row(plan, row)} for n, row in zip(names, rows, strict=True)]
    if as_json:
        listed = {} if parquet else {"densities": named}
        print_json({**facts, "parquet": parquet, "summary": found, **listed})
    else:
        _print(plan, named, found)
        if parquet:
            typer.echo(str(parquet))
    if context.likelihood == "gaussian":
        say("a density of pictures made continuous, (k + u) / 256; bits are of 8-bit values",
            quiet=quiet)  # fmt: skip
    if not parquet and len(rows) > SHOWN and not as_json:
        words = ["--data", data, "--split", split] if data else [*(pictures or [])]
        words += ["--number", str(number)] if number else []
        words += ["--samples", str(samples)] if samples else []
        words += ["--method", method] if method != "importance" else []
        words += ["--temperatures", str(temperatures)] if method == "annealed" else []
        words += ["--binarize", binarize] if binarize != "none" else []
        words += ["--seed", str(seed), "--parquet", "densities.parquet"]
        hint(command("genae", "density", model, *words), quiet=quiet)


def _pictures(
    context: "Context", pictures: list[str] | None, data: str | None, split: str,
    number: int | None, seed: int, quiet: bool,
) -> tuple["Tensor", list[str]]:  # fmt: skip
    """Pictures as bytes, and a name for each."""
    if data is None:
        pixels, files, _ = read(pictures or [], context.processor, False, quiet)
        return pixels, [str(file) for file in files]
    from zoo.evaluation.context import Subject

    subject = Subject(context, data, split, seed)
    pixels = subject.pictures.pixels
    order = list(range(len(pixels)))
    if number is not None and number < len(pixels):
        # A choice and not the first so many: MNIST's file begins with the easier ones.
        order = sorted(subject.order(len(pixels), "pictures")[:number].tolist())
    return pixels[order], [f"{data} {split} {place}" for place in order]


def _run(
    context: "Context", plan: "Plan", pixels: "Tensor", names: list[str], facts: dict[str, Any],
    parquet: Path | None, quiet: bool,
) -> list[list[float]]:  # fmt: skip
    """All rows; with a table to write, from where an earlier run of the same stopped."""
    from zoo.data import progress
    from zoo.evaluation.density import batch_size, densities
    from zoo.evaluation.journal import Journal, write_parquet

    journal = None
    if parquet is not None:
        journal = Journal(parquet, {**facts, "sums": _sums(context, pixels)})
    batches = [] if journal is None else journal.batches
    if batches:
        say(f"going on after {sum(map(len, batches))} pictures", quiet=quiet)
    total = -(-len(pixels) // batch_size(plan)) - len(batches)
    remaining = densities(context, plan, pixels, len(batches))
    try:
        for rows in progress(remaining, "densities", total=total, quiet=quiet):
            if journal is None:
                batches.append(rows)
            else:
                journal.add(rows)
    except KeyboardInterrupt:
        if journal is None:
            raise
        journal.close()
        raise InterruptedRunError(
            f"stopped after {sum(map(len, batches))} of {len(pixels)} pictures; the same command "
            "goes on from there"
        ) from None
    rows = [row for batch in batches for row in batch]
    if journal is not None and parquet is not None:
        columns = dict(zip(plan.columns, map(list, zip(*rows, strict=True)), strict=True))
        write_parquet(parquet, {"name": names, **columns}, facts)
        journal.remove()
    return rows


def _sums(context: "Context", pixels: "Tensor") -> dict[str, str]:
    """What tells these weights and pictures from others."""
    import hashlib

    weights = hashlib.sha256()
    for name, tensor in context.model.state_dict().items():
        weights.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return {
        "weights": weights.hexdigest(),
        "pictures": hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest(),
    }


def _row(plan: "Plan", row: list[float]) -> dict[str, float | None]:
    """One picture's numbers by name; not-a-number, which JSON lacks, is None."""
    return {
        name: value if math.isfinite(value) else None
        for name, value in zip(plan.columns, row, strict=True)
    }


def _summary(plan: "Plan", rows: list[list[float]]) -> dict[str, Any]:
    """Means over the pictures; of the effective sample size the least and the median as well."""
    import statistics

    columns = dict(zip(plan.columns, zip(*rows, strict=True), strict=True))
    found: dict[str, Any] = {}
    for name, values in columns.items():
        finite = [value for value in values if math.isfinite(value)]
        found[name] = statistics.fmean(finite) if finite else None
    found["standard_error_of_mean"] = (
        statistics.stdev(columns["log_prob"]) / len(rows) ** 0.5 if len(rows) > 1 else None
    )
    sizes = columns["effective_sample_size"]
    found["least_effective_sample_size"] = min(sizes)
    found["median_effective_sample_size"] = statistics.median(sizes)
    return found


def _gap(context: "Context", plan: "Plan", count: int, temperatures: int) -> dict[str, float]:
    """Bounds from both sides on pictures that the model makes."""
    from zoo.models.images.annealing import bidirectional_gap

    chains = plan.samples if plan.method == "annealed" else METHODS["annealed"]
    bounds = bidirectional_gap(
        context.model, count, num_temperatures=temperatures, num_chains=chains, seed=plan.seed
    )
    return {
        "pictures": count,
        "temperatures": temperatures,
        "chains": chains,
        "lower": bounds.lower.mean().item(),
        "upper": bounds.upper.mean().item(),
        "mean": bounds.gap.mean().item(),
        "largest": bounds.gap.max().item(),
        "acceptance": bounds.acceptance.mean().item(),
    }


def _print(plan: "Plan", named: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """A row for each of a few pictures, and the means."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("picture", overflow="fold")
    titles = {
        "log_prob": "log p, nats", "bits_per_dim": "bits/dim", "standard_error": "± nats",
        "effective_sample_size": "ESS", "elbo": "ELBO, nats", "acceptance": "acceptance",
    }  # fmt: skip
    for name in plan.columns:
        table.add_column(titles[name], justify="right")
    shown = named if len(named) <= SHOWN else []
    for row in [*shown, {"name": f"mean of {len(named)}", **found}]:
        cells = (
            "–" if row[name] is None else f"{row[name]:.{DIGITS[name]}f}" for name in plan.columns
        )
        table.add_row(str(row["name"]), *cells)
    console().print(table)
    error = found["standard_error_of_mean"]
    if error is not None:
        typer.echo(f"standard error of the mean over pictures: {error:.2f} nats")
    typer.echo(
        f"effective sample size of {plan.samples}: least "
        f"{found['least_effective_sample_size']:.1f}, "
        f"median {found['median_effective_sample_size']:.1f}"
    )
    if gap := found.get("gap"):
        typer.echo(
            f"{gap['pictures']} pictures of the model's own: {gap['lower']:.2f} to "
            f"{gap['upper']:.2f} nats, gap {gap['mean']:.2f} (largest {gap['largest']:.2f}), "
            f"acceptance {gap['acceptance']:.2f}"
        )


DIGITS = {
    "log_prob": 2, "bits_per_dim": 4, "standard_error": 3, "effective_sample_size": 1, "elbo": 2,
    "acceptance": 2,
}  # fmt: skip
