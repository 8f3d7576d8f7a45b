"""`density`: how likely images are under a model, and how the estimates were made."""

import hashlib
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import gathering, ranks
from zoo.data.sources import DATASETS
from zoo.device import own_device
from zoo.errors import InterruptedRunError, UsageError
from zoo.hints import command, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.evaluation.density.estimate import Plan
    from zoo.evaluation.subject import Context

SAMPLES = {"importance": 5000, "annealed": 16}  # per image, if not given
TEMPERATURES = 1000
BINARIZATIONS = ("none", "stochastic", "threshold", "frozen")


@dataclass(frozen=True)
class Densities:
    """Estimates of log p of images.

    Attributes:
        columns: names of each image's numbers, in order.
        rows: the name and the numbers of each image; NaN becomes None.
        summary: means over the images, the standard error of the mean of the first column, the
            minimum and median effective sample size, and with `gap` the bounds from both sides.
        facts: how they were estimated.
        resumed: number of images that an earlier, interrupted run had finished.
    """

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    facts: dict[str, Any]
    resumed: int = 0


def density(
    model: str | os.PathLike[str],
    images: Sequence[str] = (),
    *,
    data: str | None = None,
    split: str = "test",
    number: int | None = None,
    samples: int | None = None,
    method: str = "importance",
    temperatures: int = TEMPERATURES,
    gap: int = 0,
    binarize: str = "none",
    convert: bool = False,
    seed: int = 0,
    parquet: str | os.PathLike[str] | None = None,
    device: str | None = None,
    quiet: bool = True,
) -> Densities:
    """Estimate log p of images in nats and bits per dimension, with the error of the estimate.

    Estimates are lower bounds on average: more samples or temperatures make them higher. A model
    with an energy needs no estimate: it gives the energy of images, or of points of the plane, and
    their log-density where it has a stored log Z, whose error `facts["log_z"]` has.

    Args:
        model: an id or a folder.
        images: files, folders of them, or names of example data sets.
        data: a data set instead of images.
        split: of the data set.
        number: how many of its images, chosen by the seed; None for all.
        samples: per image; None is 5000, or 16 chains of annealing.
        method: `importance`, from the encoder, or `annealed`, from the decoder alone.
        temperatures: number of annealing temperatures.
        gap: number of images of the model's own to bound from both sides.
        binarize: binarisation of grey images: `none`, `stochastic`, `threshold` or `frozen`.
        convert: take images of another size or other colours than the model reads, as its image
            processor makes them, of `facts["form"]`; `facts["converted"]` has their own forms, and
            how many images of each there are, of a data set in the whole split. Without it they
            are refused.
        seed: of everything random.
        parquet: a table to write; the same call resumes it after an interrupt or a kill.
        device: of the model; None is the CPU.
        quiet: draw no progress bar.

    Raises:
        UsageError: arguments exclude each other or do not fit the model, or images are of another
            form than it reads and `convert` is False.
        NotFoundError: the model, a file or the data set does not exist.
        ConflictError: the table exists, or an interrupted one has other settings.
        InterruptedRunError: interrupted while writing a table; finished batches are saved.
    """
    check_arguments(images, data, number, method, binarize)
    from zoo.data.reading import check_exist

    check_exist(images)
    from zoo.loading import load_for, load_scoring, locate

    found = locate(model)
    scores = "scores" in found.entry.can
    if scores:
        given = {
            "samples": samples, "gap": gap, "method": method != "importance",
            "temperatures": temperatures != TEMPERATURES, "binarize": binarize != "none",
        }  # fmt: skip
        for name in (name for name, value in given.items() if value):
            raise UsageError(f"{name}: {model} gives its energy at once; leave it out")
    if "quantizes" in found.entry.can:
        raise UsageError(
            f"{model} has codes that are numbers of vectors, over which nothing is integrated; "
            f"what it measures: {command('genae', 'evaluate', str(model))}"
        )
    vectors = found.config.get("input_shape") is not None
    if data is not None and vectors != (data in DATASETS and DATASETS[data].planar):
        raise UsageError(
            f"{model} reads {'points, which' if vectors else 'images, which'} data "
            f"set {data} does not have"
        )
    if scores:
        network, processor = load_scoring(found, "density", images=bool(images))
    else:
        network, processor = load_for(found, "decode")
    # Only once the model is known to exist: these import torch.
    from zoo.evaluation.density.estimate import Plan, check
    from zoo.evaluation.subject import Context

    context = Context(network, processor, device=own_device(device), quiet=quiet)
    plan = Plan(
        method="energy" if scores else method,
        samples=0 if scores else samples or SAMPLES[method],
        temperatures=temperatures if method == "annealed" else 0,
        binarization=binarize,
        seed=seed,
    )
    pixels, names, converted = _images(context, images, data, split, number, seed, quiet)
    if converted and not convert:
        raise UsageError(
            f"{model} reads images of {context.processor.form}, and these are not: "
            f"{in_words(converted)}; --convert makes them so, and then the density is that of "
            "what was made of them"
        )
    if binarize != "none" and context.likelihood != "bernoulli":
        raise UsageError(
            f"--binarize {binarize} is for a Bernoulli likelihood, and {model} has a "
            f"{context.likelihood} one; leave it out"
        )
    facts = {"model": str(model), "data": data, "split": split if data else None, **vars(plan)}
    facts |= {"likelihood": context.likelihood, "converted": dict(converted)}
    facts["form"] = None if vectors else processor.form
    if scores:
        stored = network.stored_log_z
        facts |= {"noise_level": network.noise_level, "log_z": stored and stored._asdict()}
    else:
        check(context, plan, pixels)
    table = None if parquet is None else Path(parquet)
    rows, resumed = _run(context, plan, pixels, names, facts, table, quiet)
    summary = _summary(plan, rows) | {"images": len(rows)}
    if gap:
        summary["gap"] = gathering.by_first(lambda: _gap(context, plan, gap, temperatures))
    named = [{"name": n, **_row(plan, row)} for n, row in zip(names, rows, strict=True)]
    return Densities(plan.columns, named, summary, facts, resumed)


def check_arguments(
    images: Sequence[str], data: str | None, number: int | None, method: str, binarize: str
) -> None:
    """Refuse what no model could do, before one is loaded; arguments as `density`."""
    for value, known in ((method, SAMPLES), (binarize, BINARIZATIONS)):
        if value not in known:
            raise UsageError(f"{value!r} is not known. {did_you_mean(value, known)}")
    if bool(images) == (data is not None):
        raise UsageError("give either images, or a data set with --data")
    if number is not None and data is None:
        raise UsageError("--number chooses from a data set; give one with --data")


def in_words(forms: Mapping[str, int]) -> str:
    """Forms and their counts, such as "3 of 64 x 64 RGB"."""
    return ", ".join(f"{count} of {form}" for form, count in forms.items())


def _images(
    context: "Context", images: Sequence[str], data: str | None, split: str,
    number: int | None, seed: int, quiet: bool,
) -> tuple["Tensor", list[str], Mapping[str, int]]:  # fmt: skip
    """Images as bytes, a name for each, and the forms of those that were converted."""
    if data is None:
        from zoo.data.reading import read_images

        read = read_images(list(images), context.processor, quiet=quiet)
        return read.pixels, [str(file) for file in read.files], read.changed
    from zoo.evaluation.subject import Subject

    subject = Subject(context, data, split, seed)
    pixels = subject.images.pixels
    order = list(range(len(pixels)))
    if number is not None and number < len(pixels):
        # A seeded choice, as the first images of MNIST are the easier ones.
        order = sorted(subject.order(len(pixels), "images")[:number].tolist())
    names = [f"{data} {split} {place}" for place in order]
    return pixels[order], names, subject.images.changed


def _run(
    context: "Context", plan: "Plan", pixels: "Tensor", names: list[str], facts: dict[str, Any],
    parquet: Path | None, quiet: bool,
) -> tuple[list[list[float]], int]:  # fmt: skip
    """All rows, and the number that an earlier, interrupted run had finished."""
    from zoo.evaluation.density.estimate import batch_size, densities
    from zoo.evaluation.density.journal import Journal, write_parquet
    from zoo.progress import track

    journal = None
    if parquet is not None and ranks.is_first():
        journal = Journal(parquet, {**facts, "sums": _hashes(context, pixels)})
    batches = [*gathering.by_first(lambda: [] if journal is None else journal.batches)]
    resumed = sum(map(len, batches))
    total = -(-len(pixels) // batch_size(plan)) - len(batches)
    remaining = densities(context, plan, pixels, len(batches))
    try:
        for rows in track(remaining, "densities", total=total, quiet=quiet):
            batches.append(rows)
            if journal is not None:
                journal.add(rows)
    except KeyboardInterrupt:
        if parquet is None:
            raise
        if journal is not None:
            journal.close()
        raise InterruptedRunError(
            f"stopped after {sum(map(len, batches))} of {len(pixels)} images; the same command "
            "resumes there"
        ) from None
    rows = [row for batch in batches for row in batch]
    if journal is not None:
        columns = dict(zip(plan.columns, map(list, zip(*rows, strict=True)), strict=True))
        write_parquet(journal.target, {"name": names, **columns}, facts)
        journal.remove()
    return rows, resumed


def _hashes(context: "Context", pixels: "Tensor") -> dict[str, str]:
    """Hashes that identify the weights and the images."""
    weights = hashlib.sha256()
    for name, tensor in context.model.state_dict().items():
        weights.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return {
        "weights": weights.hexdigest(),
        "images": hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest(),
    }


def _row(plan: "Plan", row: list[float]) -> dict[str, float | None]:
    """The numbers of one image by name; NaN, which JSON lacks, becomes None."""
    return {
        name: value if math.isfinite(value) else None
        for name, value in zip(plan.columns, row, strict=True)
    }


def _summary(plan: "Plan", rows: list[list[float]]) -> dict[str, Any]:
    """Means over the images, and the minimum and median of the effective sample size."""
    columns = dict(zip(plan.columns, zip(*rows, strict=True), strict=True))
    found: dict[str, Any] = {}
    for name, values in columns.items():
        finite = [value for value in values if math.isfinite(value)]
        found[name] = statistics.fmean(finite) if finite else None
    found["standard_error_of_mean"] = (
        statistics.stdev(columns[plan.columns[0]]) / len(rows) ** 0.5 if len(rows) > 1 else None
    )
    if sizes := columns.get("effective_sample_size"):
        found["min_effective_sample_size"] = min(sizes)
        found["median_effective_sample_size"] = statistics.median(sizes)
    return found


def _gap(context: "Context", plan: "Plan", count: int, temperatures: int) -> dict[str, float]:
    """Bounds from both sides on images that the model samples."""
    from zoo.models.images.annealing import bidirectional_gap

    chains = plan.samples if plan.method == "annealed" else SAMPLES["annealed"]
    bounds = bidirectional_gap(
        context.model, count, num_temperatures=temperatures, num_chains=chains, seed=plan.seed
    )
    return {
        "images": count,
        "temperatures": temperatures,
        "chains": chains,
        "lower": bounds.lower.mean().item(),
        "upper": bounds.upper.mean().item(),
        "mean": bounds.gap.mean().item(),
        "max": bounds.gap.max().item(),
        "acceptance": bounds.acceptance.mean().item(),
    }
