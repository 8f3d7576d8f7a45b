"""What models draw: new images, reconstructions, interpolations, nearest neighbours.

Each function takes a model's id or folder and returns a `Grid`: the images, what is known of each,
and `save`.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo import catalog
from zoo.chains import CHAINS, draw
from zoo.errors import UsageError
from zoo.grids import Grid, Name, check_range, to_bytes
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

MAX_SAMPLES = 100_000
MAX_STEPS = 100
MAX_NEIGHBORS = 100
BATCH = 256  # images
NUMBER, OF_LABEL = 64, 8  # samples if none are asked for, of all and of each label
SAMPLERS = {
    "prior": "the model's own, such as N(0, I)",
    "gaussian": "a Gaussian fitted to the training codes",
    "mixture": "a mixture of Gaussians fitted to them",
}
MODES = ("slerp", "linear")
DISTANCES = {"cosine": "the angle between representations", "l2": "their Euclidean distance"}


def sample(
    model: Name,
    number: int | None = None,
    *,
    seed: int | None = None,
    sampler: str | None = None,
    temperature: float | None = None,
    steps: int | None = None,
    jump: bool | None = None,
    trace: bool = False,
    labels: Sequence[int] | None = None,
    columns: int | None = None,
    quiet: bool = True,
) -> Grid:
    """Draw new images, or points of the plane, from a model.

    Args:
        model: an id or a folder.
        number: of images, 1 to 100,000; None for 64, or for 8 of each label.
        seed: names the images; drawn, and told in the facts, if None.
        sampler: a key of `SAMPLERS`, where a model has codes; else of `CHAINS`. None is `prior`,
            or a model's generator, or `langevin`.
        temperature: at least 0; factor on the spread of the codes or of a generator's noise, below
            1 is more typical; of chains the same at all steps, in place of their schedule.
        steps: of chains; None is the number in the model's config.
        jump: denoise once at the end; None does so for chains alone.
        trace: keep the way of a few chains from noise to image, as `Grid.trace`.
        labels: of a model whose codes have classes: those to draw, a row each; None for all.
        columns: images per row.
        quiet: draw no progress bar.

    Returns:
        The images; points of the plane are one image of all, and coordinates in `facts["points"]`.

    Raises:
        UsageError: an argument is out of its range or not for this model, or the sampler was never
            fitted.
        NotFoundError: there is no such model.
    """
    if sampler is not None and sampler not in SAMPLERS | CHAINS:
        raise UsageError(f"no sampler {sampler!r}. {did_you_mean(sampler, SAMPLERS | CHAINS)}")
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise UsageError(f"temperature must be 0 or more, got {temperature}")
    check_range("number", NUMBER if number is None else number, 1, MAX_SAMPLES)
    from zoo.loading import load_for, locate

    found = locate(model)
    if "scores" in found.entry.can:
        if labels is not None:
            raise UsageError(f"labels: {model} draws by chains, which know none; leave it out")
        return draw(
            found, number or NUMBER, seed=seed, sampler=sampler, temperature=temperature,
            steps=steps, jump=jump, trace=trace, columns=columns, quiet=quiet,
        )  # fmt: skip
    chained = {"sampler": sampler in CHAINS, "steps": steps is not None}
    chained |= {"jump": jump is not None, "trace": trace}
    for name in (name for name, given in chained.items() if given):
        raise UsageError(f"{name}: {model} draws from codes, not by chains; leave it out")
    from zoo import plots
    from zoo.progress import track

    network, processor = load_for(found, "sample")
    import torch  # only once the model is known to exist

    seed = secrets.randbelow(2**32) if seed is None else seed
    try:
        options = network.sampling_options(sampler=sampler, temperature=temperature)
    except ValueError as error:  # a sampler that such models do not have
        raise UsageError(f"{model}: {error}") from error
    sampler, temperature = options["sampler"], options["temperature"]
    rows = list(plots.classes_of(network, sampler) if labels is None else labels)
    number = number or (OF_LABEL * len(rows) or NUMBER)
    columns = columns or (-(-number // len(rows)) if rows else None)
    plots.check_grid(number, processor.size, processor.size, columns)
    drawn = plots.in_rows(rows, number) if rows else None
    try:
        latents = network.sample_latents(
            number, sampler=sampler, temperature=temperature, seed=seed, labels=drawn
        )
    except ValueError as error:  # a sampler that was never fitted, labels that there are not
        raise UsageError(f"{model}: {error}") from error
    chunks = torch.split(latents, BATCH)
    images = [
        to_bytes(processor, network.sample(len(chunk), latents=chunk))
        for chunk in track(chunks, "sampling", total=len(chunks), quiet=quiet)
    ]
    facts = {"model": str(model), "number": number, "seed": seed, "sampler": sampler}
    facts |= {"labels": rows} if rows else {}
    facts |= {} if getattr(network, "has_spread", True) else {"spreads": False}
    fitted = [name for name in SAMPLERS if name != "prior" and _fitted(network, name)]
    return Grid(torch.cat(images), columns, facts | {"temperature": temperature, "fitted": fitted})


def reconstruct(
    model: Name,
    images: Sequence[str],
    *,
    columns: int | None = None,
    skip_bad: bool = False,
    quiet: bool = True,
) -> Grid:
    """Encode images and decode their codes again.

    Args:
        model: an id or a folder.
        images: files, folders of them, or names of example data sets.
        columns: pairs a row.
        skip_bad: skip a bad file even if it is named.
        quiet: draw no progress bar.

    Returns:
        Pairs, each original above its reconstruction, `(N, C, 2 H, W)`. The facts have the squared
        error of each image per pixel of [0, 1], and their mean.

    Raises:
        UsageError: no image is left, or the model cannot reconstruct.
        NotFoundError: there is no such model or file.
    """
    from zoo.data.reading import check_exist, read_images

    check_exist(images, skip_bad=skip_bad)
    from zoo import plots
    from zoo.loading import load_for
    from zoo.progress import track

    network, processor = load_for(model, "reconstruct")
    import torch  # only once the model is known to exist

    read = read_images(list(images), processor, skip_bad=skip_bad, quiet=quiet)
    plots.check_grid(len(read.pixels), 2 * processor.size, processor.size, columns)
    chunks = torch.split(read.pixels, BATCH)
    made = torch.cat(
        [
            processor.crop_padding(network.reconstruct(chunk.float() / 255))
            for chunk in track(chunks, "reconstructing", total=len(chunks), quiet=quiet)
        ]
    )
    originals = processor.crop_padding(read.pixels)
    errors = (made - originals.float() / 255).square().mean(dim=(1, 2, 3))
    facts = {
        "model": str(model),
        "images": [
            {"file": str(file), "squared_error": round(error, 6)}
            for file, error in zip(read.files, errors.tolist(), strict=True)
        ],
        "mean_squared_error": round(errors.mean().item(), 6),
    }
    pairs = torch.cat([originals, plots.to_uint8(made)], dim=2)
    return Grid(pairs, columns, facts, *read.skipped())


def interpolate(
    model: Name,
    images: Sequence[str],
    *,
    steps: int = 9,
    mode: str = "slerp",
    quiet: bool = True,
) -> Grid:
    """Interpolate between the codes of each pair of images.

    Args:
        model: an id or a folder.
        images: files, folders of them, or names of example data sets, paired in order; if a
            folder holds an odd number, the last is left out, and `facts["left_out"]` names it.
        steps: images per row, both ends included, 2 to 100.
        mode: `slerp`, along the arc of the codes, or `linear`; other models walk straight whatever
            the mode: without codes each image is moved to where its density is high, with codes
            that are numbers of vectors the encoder's vectors are quantised on the way.
        quiet: draw no progress bar.

    Raises:
        UsageError: an argument is out of its range, or an image has no partner.
        NotFoundError: there is no such model or file.
    """
    if mode not in MODES:
        raise UsageError(f"no mode {mode!r}. {did_you_mean(mode, MODES)}")
    check_range("steps", steps, 2, MAX_STEPS)
    from zoo.data.reading import check_exist, path_of, read_images

    check_exist(images)
    from zoo import plots
    from zoo.loading import load_for
    from zoo.progress import track

    network, processor = load_for(model, "interpolate")
    import torch  # only once the model is known to exist

    read = read_images(list(images), processor, quiet=quiet)
    pixels, files = read.pixels, read.files
    # Nobody chose the number of images in a folder.
    if len(pixels) % 2 and (len(pixels) == 1 or not path_of(images[-1]).is_dir()):
        raise UsageError(f"images are paired, but there are {len(pixels)}; give one more")
    pairs = len(pixels) // 2
    plots.check_grid(pairs * steps, processor.size, processor.size, steps)
    values = pixels[: 2 * pairs].reshape(pairs, 2, *pixels.shape[1:])
    chunks = torch.split(values, max(1, BATCH // steps))
    can = catalog.find_config(network.config.model_type).can
    bends = "encodes" in can
    options: dict[str, Any] = {"mode": mode} if bends else {}
    options |= {"seed": 0} if "scores" in can else {}
    made = [
        to_bytes(
            processor, network.interpolate(*(chunk.float() / 255).unbind(1), steps, **options)
        )
        for chunk in track(chunks, "interpolating", total=len(chunks), quiet=quiet)
    ]
    facts = {
        "model": str(model),
        "pairs": [[str(file) for file in files[i : i + 2]] for i in range(0, 2 * pairs, 2)],
        "steps": steps,
        "mode": mode if bends else "linear",
        "left_out": str(files[-1]) if len(pixels) % 2 else None,
        "samples": "samples" in can and "samples" not in network.cannot,
    }
    return Grid(torch.cat(made).flatten(0, 1), steps, facts, *read.skipped())


def neighbors(
    model: Name,
    images: Sequence[str],
    number: int = 8,
    *,
    by: str = "cosine",
    tap: str | None = None,
    data: str | None = None,
    split: str = "train",
    skip_bad: bool = False,
    quiet: bool = True,
) -> Grid:
    """Show each image, then those nearest to it in a model's representation.

    Args:
        model: an id or a folder.
        images: files, folders of them, or names of example data sets.
        number: neighbours of each image, 1 to 100.
        by: a key of `DISTANCES`.
        tap: a layer of the encoder; None is the code.
        data: a data set to search; None searches the images themselves.
        split: of the data set.
        skip_bad: skip a bad file even if it is named.
        quiet: draw no progress bar.

    Raises:
        UsageError: an argument is out of its range, or there are too few images.
        NotFoundError: there is no such model, file or data set.
    """
    if by not in DISTANCES:
        raise UsageError(f"no distance {by!r}. {did_you_mean(by, DISTANCES)}")
    check_range("number", number, 1, MAX_NEIGHBORS)
    from zoo.data.reading import check_exist, read_images

    check_exist(images, skip_bad=skip_bad)
    from zoo import plots
    from zoo.loading import check_able, load_for

    network, processor = load_for(check_able(model, "encodes", "neighbors"), "encode")
    # Only once the model is known to exist: these import torch.
    import torch

    from zoo.evaluation.neighbors import nearest
    from zoo.evaluation.representations import check_tap, represent
    from zoo.evaluation.subject import Context

    tap = check_tap(network, tap or "code")
    read = read_images(list(images), processor, skip_bad=skip_bad, quiet=quiet)
    queries, files = read.pixels, read.files
    plots.check_grid(len(queries) * (1 + number), processor.size, processor.size, 1 + number)
    context = Context(network, processor, quiet=quiet)
    of_queries = represent(context, queries, tap)
    candidates, names = queries, [str(file) for file in files]
    references: Tensor | None = None
    if data is not None:
        candidates = context.images(data, split).pixels
        names = [f"{data} {split}, image {row}" for row in range(len(candidates))]
        references = represent(context, candidates, tap)
    indices, distances = nearest(of_queries, number, references, by=by)
    rows = torch.cat([queries[:, None], candidates[indices]], 1).flatten(0, 1)
    found = [
        {
            "file": str(file),
            "neighbors": [
                {"image": names[row], "distance": round(distance, 6)}
                for row, distance in zip(near, far, strict=True)
            ],
        }
        for file, near, far in zip(files, indices.tolist(), distances.tolist(), strict=True)
    ]
    facts = {"model": str(model), "tap": tap, "by": by, "images": found}
    return Grid(processor.crop_padding(rows), 1 + number, facts, *read.skipped())


def _fitted(model: Any, sampler: str) -> bool:
    samplers = getattr(model, "samplers", {})
    return sampler in samplers and bool(samplers[sampler].fitted)
