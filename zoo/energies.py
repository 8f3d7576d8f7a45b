"""What models with an energy do to images: say how likely they are, denoise, inpaint.

Each function takes a model's id or folder and returns a `Grid`: the images, what is known of each,
and `save`.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.chains import bound_of, draw
from zoo.data.masks import MASKS as MASKS
from zoo.data.masks import hidden_part
from zoo.errors import NotFoundError, UsageError
from zoo.grids import Grid, Name, check_range, to_bytes
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

MAX_SAMPLES = 100_000
BATCH = 64  # images
HIDDEN = 128  # the grey of a missing place


def energy(
    model: Name,
    images: Sequence[str] = (),
    *,
    grid: bool = False,
    data: str | None = None,
    number: int = 2000,
    seed: int = 0,
    skip_bad: bool = False,
    quiet: bool = True,
) -> Grid:
    """Energies of images in nats, or of a model of the plane one image of all that it knows.

    Args:
        model: an id or a folder of a model with an energy.
        images: files, folders of them, or names of example data sets.
        grid: show density, scores, samples and data of a model of the plane instead.
        data: a built-in data set of points to show, a key of `zoo.data.planar.PLANAR`; None is
            that of the model's card, or none.
        number: of samples and of data to show, 1 to 100,000.
        seed: of the samples.
        skip_bad: skip a bad file even if it is named.
        quiet: draw no progress bar.

    Returns:
        The images, and the energy of each in `facts["images"]`, with its normalised log-density
        where the model has a stored log Z, or None; with `grid` the one image, `(1, 3, H, W)`.

    Raises:
        UsageError: neither images nor `grid` are asked for, or both; the model has no energy, or
            one of other data.
        NotFoundError: there is no such model or file.
    """
    if grid == bool(images):
        raise UsageError("give images, or --grid for a model of the plane")
    if data is not None and not grid:
        raise UsageError("--data names the points to show with --grid; leave it out")
    check_range("number", number, 1, MAX_SAMPLES)
    if grid:
        return _plane(model, data, number, seed, quiet)
    from zoo.data.reading import check_exist, read_images

    check_exist(images, skip_bad=skip_bad)
    from zoo.loading import load_scoring
    from zoo.progress import track

    network, processor = load_scoring(model, "energy", images=True)
    import torch  # only once the model is known to exist

    read = read_images(list(images), processor, skip_bad=skip_bad, quiet=quiet)
    chunks = torch.split(read.pixels, BATCH)
    energies: list[float] = []
    with torch.no_grad():
        for chunk in track(chunks, "energies", total=len(chunks), quiet=quiet):
            energies += network.energy(chunk.float() / 255).tolist()
    found = network.stored_log_z
    rows = [
        {"energy": value, "log_density": None if found is None else -value - found.value}
        for value in energies
    ]
    facts = {
        "model": str(model), "noise_level": network.noise_level,
        "log_z": found and found._asdict(), "images": _listed(read.files, rows),
        "mean_energy": round(sum(energies) / len(energies), 6),
    }  # fmt: skip
    return Grid(processor.crop_padding(read.pixels), None, facts, *read.skipped())


def _plane(model: Name, data: str | None, number: int, seed: int, quiet: bool) -> Grid:
    """The one image of `energy`; arguments as there."""
    from zoo.data.sources import DATASETS
    from zoo.loading import load_scoring, locate
    from zoo.registry import load_card

    known = [name for name, source in DATASETS.items() if source.planar]
    if data is not None and data not in known:
        raise UsageError(f"no data set of points {data!r}. {did_you_mean(data, known)}")
    located = locate(model)
    network, _ = load_scoring(located, "energy --grid", plane=True)
    from zoo.data.planar import draw_split
    from zoo.evaluation.plane import plane_image

    if data is None:
        with contextlib.suppress(NotFoundError):  # a folder without a card
            named = load_card(located.place).data
            data = named.dataset if named and named.dataset in known else None
    drawn = draw(
        located, number, seed=seed, sampler=None, temperature=None, steps=None, jump=None,
        trace=False, columns=None, quiet=quiet,
    )  # fmt: skip
    import torch

    samples = torch.tensor(drawn.facts["points"])
    points = None if data is None else draw_split(data, "test", number)[0]
    bound, found = bound_of(network.config), network.stored_log_z
    facts = {
        "model": str(model), "data": data, "number": number, "seed": seed,
        "sampler": drawn.facts["sampler"], "noise_level": network.noise_level,
        "bound": bound, "log_z": found and found._asdict(),
    }  # fmt: skip
    return Grid(plane_image(network, samples, points, bound)[None], None, facts)


def denoise(
    model: Name,
    images: Sequence[str],
    *,
    sigma: float | None = None,
    noisy: bool = False,
    seed: int = 0,
    columns: int | None = None,
    skip_bad: bool = False,
    quiet: bool = True,
) -> Grid:
    """Add noise to images, and denoise them in one step by the model's score.

    Args:
        model: an id or a folder of a model with an energy.
        images: files, folders of them, or names of example data sets.
        sigma: standard deviation of the noise, pixels lying in [0, 1]; None is the model's own
            level.
        noisy: the images have this noise already; none is added.
        seed: of the noise.
        columns: images per row.
        skip_bad: skip a bad file even if it is named.
        quiet: draw no progress bar.

    Returns:
        Each image, its noisy and its denoised version, one above the other, `(N, C, 3 H, W)`;
        with `noisy` the image and its denoised version. The facts have the squared errors of both
        per pixel, where the clean image is known.

    Raises:
        UsageError: an argument is out of its range, or the model has no energy of images.
        NotFoundError: there is no such model or file.
    """
    if sigma is not None and not 0 < sigma < float("inf"):
        raise UsageError(f"sigma must be positive and finite, got {sigma}")
    from zoo.data.reading import check_exist, read_images

    check_exist(images, skip_bad=skip_bad)
    from zoo import plots
    from zoo.loading import load_scoring
    from zoo.progress import track

    network, processor = load_scoring(model, "denoise", images=True)
    import torch  # only once the model is known to exist

    read = read_images(list(images), processor, skip_bad=skip_bad, quiet=quiet)
    rows = 2 if noisy else 3
    plots.check_grid(len(read.pixels), rows * processor.size, processor.size, columns)
    level = network.noise_level if sigma is None else sigma
    generator = torch.Generator().manual_seed(seed)
    sheets, errors = [], []
    chunks = torch.split(read.pixels, BATCH)
    for chunk in track(chunks, "denoising", total=len(chunks), quiet=quiet):
        clean = chunk.float() / 255
        given = clean
        if not noisy:
            given = clean + level * torch.randn(clean.shape, generator=generator)
        made = network.denoise(given, level)
        versions = [processor.crop_padding(x) for x in (clean, given, made)]
        errors += torch.stack([_error(x, versions[0]) for x in versions[1:]], 1).tolist()
        sheets.append(torch.cat([plots.to_uint8(x) for x in versions[3 - rows :]], dim=2))
    names = () if noisy else ("squared_error_noisy", "squared_error")
    facts = {
        "model": str(model), "sigma": level, "added": not noisy, "seed": None if noisy else seed,
        "images": _listed(read.files, [dict(zip(names, row, strict=False)) for row in errors]),
    }  # fmt: skip
    for place, name in enumerate(names):
        facts[f"mean_{name}"] = round(sum(row[place] for row in errors) / len(errors), 6)
    return Grid(torch.cat(sheets), columns, facts, *read.skipped())


def inpaint(
    model: Name,
    images: Sequence[str],
    *,
    mask: str,
    steps: int | None = None,
    temperature: float | None = None,
    jump: bool = True,
    seed: int = 0,
    columns: int | None = None,
    skip_bad: bool = False,
    quiet: bool = True,
) -> Grid:
    """Hide a part of images and fill it in by chains that see the rest.

    Args:
        model: an id or a folder of a model with an energy.
        images: files, folders of them, or names of example data sets.
        mask: where they are hidden: a key of `MASKS`, or an image file whose white is hidden.
        steps: of the chains; None is the number in the model's config.
        temperature: the same at all steps in place of the schedule.
        jump: denoise once at the end.
        seed: of the chains.
        columns: images per row.
        skip_bad: skip a bad file even if it is named.
        quiet: draw no progress bar.

    Returns:
        Each image, what the model saw of it and what it made, one above the other,
        `(N, C, 3 H, W)`. The facts have the squared error per hidden pixel.

    Raises:
        UsageError: an argument is out of its range, the mask hides nothing or everything, or the
            model has no energy of images.
        NotFoundError: there is no such model or file.
    """
    from zoo.data.files import open_image
    from zoo.data.reading import check_exist, read_images

    if mask not in MASKS and not Path(mask).expanduser().is_file():
        raise UsageError(f"no mask {mask!r}, and no file. {did_you_mean(mask, MASKS)}")
    if steps is not None and steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise UsageError(f"temperature must be 0 or more, got {temperature}")
    check_exist(images, skip_bad=skip_bad)
    from zoo import plots
    from zoo.loading import load_scoring
    from zoo.progress import items_bar

    network, processor = load_scoring(model, "inpaint", images=True)
    import torch  # only once the model is known to exist

    side = processor.size
    if mask in MASKS:
        hidden = hidden_part(mask, processor)
    else:
        white = torch.from_numpy(processor.to_uint8(open_image(Path(mask).expanduser()))) > 127
        hidden = white.any(0)[None, None]  # the padding is black
    inside = processor.crop_padding(hidden)
    share = float(inside.float().mean())
    if not 0 < share < 1:
        what = "nothing" if share == 0 else "everything"
        raise UsageError(f"the mask {mask} hides {what}; white places of it are hidden")
    read = read_images(list(images), processor, skip_bad=skip_bad, quiet=quiet)
    plots.check_grid(len(read.pixels), 3 * side, side, columns)
    generator = torch.Generator().manual_seed(seed)
    sheets, errors = [], []
    chunks, schedule = torch.split(read.pixels, BATCH), network.schedule(steps, temperature)
    with items_bar("inpainting", len(chunks) * len(schedule), quiet=quiet) as bar:
        for chunk in chunks:
            whole = chunk.float() / 255
            made = network.inpaint(
                whole, hidden, steps=steps, temperature=temperature, jump=jump,
                generator=generator, on_step=lambda _: bar(),
            )  # fmt: skip
            errors += ((made - whole).square() * hidden).sum((1, 2, 3)).tolist()
            seen = torch.where(hidden, HIDDEN / 255, whole)
            sheets.append(torch.cat([to_bytes(processor, x) for x in (whole, seen, made)], dim=2))
    pixels = inside.sum().item() * processor.num_channels
    errors = [error / pixels for error in errors]
    facts = {
        "model": str(model), "mask": mask, "hidden": round(share, 6), "steps": len(schedule),
        "temperature": temperature, "jump": jump, "seed": seed,
        "images": _listed(read.files, [{"squared_error": error} for error in errors]),
        "mean_squared_error": round(sum(errors) / len(errors), 6),
    }  # fmt: skip
    return Grid(torch.cat(sheets), columns, facts, *read.skipped())


def _error(made: "Tensor", whole: "Tensor") -> "Tensor":
    """Squared errors per pixel, `(N,)`."""
    return (made - whole).square().mean(dim=(1, 2, 3))


def _listed(
    files: Sequence[Path], rows: Sequence[Mapping[str, float | None]]
) -> list[dict[str, Any]]:
    """Each file with its numbers by name."""
    return [
        {"file": str(file)} | {n: None if v is None else round(v, 6) for n, v in row.items()}
        for file, row in zip(files, rows, strict=True)
    ]
