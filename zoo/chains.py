"""Drawing from models with an energy: `zoo.sample` is the door."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError
from zoo.grids import Grid, to_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.loading import Model

#: Of models with an energy: a generator, where there is one, and chains along the score.
CHAINS = {
    "generator": "the model's own network of noise",
    "langevin": "chains along the score",
    "metropolis": "the same, each step accepted or refused",
    "hamiltonian": "chains with momentum",
}
TRACED, MOMENTS = 8, 9  # rows of a trace, and images a row before the last
FRAME = 190  # the grey around an image of points


def draw(
    model: "Model",
    number: int,
    *,
    seed: int | None,
    sampler: str | None,
    temperature: float | None,
    steps: int | None,
    jump: bool | None,
    trace: bool,
    columns: int | None,
    quiet: bool,
) -> Grid:
    """What `zoo.sample` does with a model that has an energy; arguments and errors as there."""
    if sampler is not None and sampler not in CHAINS:
        raise UsageError(f"sampler: {model} has no codes; use one of {', '.join(CHAINS)}")
    if steps is not None and steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    from zoo import plots
    from zoo.loading import load_scoring
    from zoo.progress import items_bar

    network, processor = load_scoring(model, "sample")
    import torch  # only once the model is known to exist

    from zoo.models.images.energy_sampling import CHAIN_BATCH

    sampler = sampler or network.samplers[0]
    if sampler not in network.samplers:
        known = ", ".join(network.samplers)
        raise UsageError(f"{model} has no sampler {sampler!r}; it has {known}")
    if sampler == "generator" and (steps is not None or trace):
        raise UsageError(
            f"{model} draws from its generator, which has no steps and no way to trace; "
            "--sampler langevin draws by chains"
        )
    temperatures = [] if sampler == "generator" else network.schedule(steps, temperature).tolist()
    if processor is not None:
        plots.check_grid(number, processor.size, processor.size, columns)
    seed = secrets.randbelow(2**32) if seed is None else seed
    jump = sampler != "generator" if jump is None else jump
    moments = _moments(len(temperatures)) if trace else []
    way: list[Tensor] = []
    drawn: list[Tensor] = []
    generator = torch.Generator().manual_seed(seed)
    starts = range(0, number, CHAIN_BATCH)
    with items_bar("sampling", len(starts) * max(len(temperatures), 1), quiet=quiet) as bar:

        def on_step(state: Any) -> None:
            bar()
            if not drawn and state.step in moments:
                way.append(state.x if processor is None else state.x[:TRACED].clone())

        for start in starts:
            x = network.sample(
                min(CHAIN_BATCH, number - start), sampler=sampler, steps=steps, jump=jump,
                temperature=temperature, generator=generator, on_step=on_step,
            )  # fmt: skip
            drawn.append(x if processor is None else to_bytes(processor, x))
            if trace and not start:
                way.append(x if processor is None else x[:TRACED])
    facts = {
        "model": str(model), "number": number, "seed": seed, "sampler": sampler,
        "temperature": temperature, "steps": len(temperatures) or None, "jump": jump,
    }  # fmt: skip
    images = torch.cat(drawn)
    if processor is None:
        facts["points"] = [[round(value, 6) for value in point] for point in images.tolist()]
        bound = bound_of(network.config)
        images = _of_points([images], bound)
        traced = _of_points(way, bound) if trace else None
    else:
        traced = to_bytes(processor, torch.stack(way, 1).flatten(0, 1)) if trace else None
    if traced is None:
        return Grid(images, columns, facts)
    a_row = -(-len(way) // 2) if processor is None else len(way)
    return Grid(images, columns, facts, trace=Grid(traced, a_row, {"steps": moments}))


def bound_of(config: Any) -> float:
    """Half the side of the square of the plane that images of points show."""
    return abs(float(config.start_mean)) + 1.5 * float(config.start_scale)


def _moments(num_steps: int) -> list[int]:
    """The steps of a trace, the first and the last among them, evenly spaced."""
    count = min(MOMENTS, num_steps)
    return [1 + round(place * (num_steps - 1) / max(count - 1, 1)) for place in range(count)]


def _of_points(sets: "Sequence[Tensor]", bound: float) -> "Tensor":
    """An image of each set of points in a frame, uint8 `(N, 1, S, S)`."""
    import numpy as np
    import torch
    from torch.nn import functional

    from zoo.plots import points_image

    images = torch.stack([torch.from_numpy(np.array(points_image(x, bound)))[None] for x in sets])
    return functional.pad(images, (1, 1, 1, 1), value=FRAME)
