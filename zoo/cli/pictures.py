"""The verbs that draw: sample, reconstruct, interpolate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.cli.common import Json, Model, Quiet, hint, print_json, say
from zoo.cli.inputs import ends_in_folder, load, read
from zoo.errors import UsageError
from zoo.hints import command, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

MOST_SAMPLES = 100_000
MOST_STEPS = 100
BATCH = 256  # pictures
SAMPLERS = {
    "prior": "N(0, I)",
    "gaussian": "a Gaussian fitted to the training codes",
    "mixture": "a mixture fitted to them",
}
MODES = ("slerp", "linear")

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The picture to write; PNG, JPEG, WEBP, ...")
]
Columns = Annotated[
    int | None, typer.Option(min=1, help="Pictures a row; the sheet is about square if not given.")
]
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURES...",
        help="Picture files, folders of them, or examples-mnist, -fashion-mnist, -faces.",
    ),
]


def sample(
    model: Model,
    output: Output,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, max=MOST_SAMPLES, help="How many pictures.")
    ] = 64,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Names the pictures; drawn if not given."),
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
    """Draw new pictures from a model and write them as one sheet."""
    if sampler not in SAMPLERS:
        raise UsageError(f"no sampler {sampler!r}. {did_you_mean(sampler, SAMPLERS)}")
    if not 0 <= temperature < float("inf"):
        raise UsageError(f"--temperature must be 0 or more, got {temperature}")
    from zoo import plots

    output = plots.prepare_output(output)
    import secrets

    import torch

    from zoo.data import progress

    network, processor = load(model, "sample")
    plots.check_sheet(number, processor.size, processor.size, columns)
    seed = secrets.randbelow(2**32) if seed is None else seed
    try:
        latents = network.sample_latents(
            number, sampler=sampler, temperature=temperature, seed=seed
        )
    except ValueError as error:  # a sampler that was never fitted
        raise UsageError(f"{model}: {error}") from error
    chunks = torch.split(latents, BATCH)
    drawn = torch.cat(
        [
            _bytes(processor, network.sample(len(chunk), latents=chunk))
            for chunk in progress(chunks, "sampling", total=len(chunks), quiet=quiet)
        ]
    )
    plots.save_grid(drawn, output, columns)
    facts = {
        "output": output,
        "model": model,
        "number": number,
        "seed": seed,
        "sampler": sampler,
        "temperature": temperature,
    }
    _answer(facts, as_json)
    other = next((s for s in ("mixture", "gaussian") if _fitted(network, s)), None)
    again = ("genae", "sample", model, "-n", str(number), "--seed", str(seed))
    if other and sampler == "prior":
        name = output.with_stem(f"{output.stem}-{other}")
        hint(command(*again, "--sampler", other, "-o", name), quiet=quiet)
    elif Path(model).is_dir() and not (Path(model) / "card.toml").is_file():
        name = output.with_stem(f"{output.stem}-0.7")
        hint(command(*again, "--temperature", "0.7", "-o", name), quiet=quiet)
    else:
        hint(command("genae", "info", model), quiet=quiet)


def reconstruct(
    model: Model,
    pictures: Files,
    output: Output,
    columns: Columns = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip bad files that were named, too.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write pictures, each above what the model makes of it.

    Bad files inside a folder are skipped and counted; a bad file that is named stops the command.
    """
    from zoo import plots

    output = plots.prepare_output(output, pictures)
    network, processor = load(model, "reconstruct")
    pixels, files, problems = read(pictures, processor, skip_bad, quiet)
    size = processor.size
    plots.check_sheet(len(pixels), 2 * size, size, columns)
    import torch

    from zoo.data import progress

    chunks = torch.split(pixels, BATCH)
    made = torch.cat(
        [
            processor.crop_padding(network.reconstruct(chunk.float() / 255))
            for chunk in progress(chunks, "reconstructing", total=len(chunks), quiet=quiet)
        ]
    )
    originals = processor.crop_padding(pixels)
    errors = (made - originals.float() / 255).square().mean(dim=(1, 2, 3))
    plots.save_reconstructions(originals, made, output, columns)
    facts = {
        "output": output,
        "model": model,
        "pictures": [
            {"file": file, "squared_error": round(error, 6)}
            for file, error in zip(files, errors.tolist(), strict=True)
        ],
        "mean_squared_error": round(errors.mean().item(), 6),
        "skipped": problems,
    }
    _answer(facts, as_json)
    say(f"mean squared error {errors.mean():.5f} per pixel of [0, 1]", quiet=quiet)
    if len(files) > 1 and hasattr(network, "interpolate"):
        hint(command("genae", "interpolate", model, *files[:2], "-o", "walk.png"), quiet=quiet)


def interpolate(
    model: Model,
    pictures: Files,
    output: Output,
    steps: Annotated[
        int, typer.Option(min=2, max=MOST_STEPS, help="Pictures a row, both ends included.")
    ] = 9,
    mode: Annotated[
        str, typer.Option(help="slerp: along the arc of the codes; linear: straight.")
    ] = "slerp",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one row for each pair of pictures, from the first to the second.

    Pictures are paired in order; of an odd number from a folder the last is left out.
    """
    if mode not in MODES:
        raise UsageError(f"no mode {mode!r}. {did_you_mean(mode, MODES)}")
    from zoo import plots

    output = plots.prepare_output(output, pictures)
    network, processor = load(model, "interpolate")
    pixels, files, problems = read(pictures, processor, False, quiet)
    if len(pixels) % 2 and (len(pixels) == 1 or not ends_in_folder(pictures)):
        raise UsageError(f"pictures are paired, but there are {len(pixels)}; give one more")
    if len(pixels) % 2:
        say(f"left out, because it has no partner: {files[-1]}", quiet=quiet)
    pairs = len(pixels) // 2
    plots.check_sheet(pairs * steps, processor.size, processor.size, steps)
    import torch

    from zoo.data import progress

    values = pixels[: 2 * pairs].reshape(pairs, 2, *pixels.shape[1:])
    chunks = torch.split(values, max(1, BATCH // steps))
    made = torch.cat(
        [
            _bytes(processor, network.interpolate(*(chunk.float() / 255).unbind(1), steps, mode))
            for chunk in progress(chunks, "interpolating", total=len(chunks), quiet=quiet)
        ]
    )
    plots.save_interpolations(made, output)
    facts = {
        "output": output,
        "model": model,
        "pairs": [files[place : place + 2] for place in range(0, 2 * pairs, 2)],
        "steps": steps,
        "mode": mode,
        "skipped": problems,
    }
    _answer(facts, as_json)
    if hasattr(network, "sample"):
        hint(command("genae", "sample", model, "-n", "64", "-o", "samples.png"), quiet=quiet)


def _bytes(processor: Any, pixel_values: "Tensor") -> "Tensor":
    """Model output without padding as uint8, a quarter of the memory."""
    from zoo.plots import to_uint8

    return to_uint8(processor.crop_padding(pixel_values))


def _fitted(model: Any, sampler: str) -> bool:
    samplers = getattr(model, "samplers", {})
    return sampler in samplers and bool(samplers[sampler].fitted)


def _answer(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.echo(str(facts["output"]))
