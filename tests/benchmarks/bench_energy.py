"""Energies: what a second derivative costs a training step, what a chain adds to gradients.

On the networks of four cards, with random weights and data. A plain step is forward and backward
of the network's sum on the same batch, by the parameters; a training step differentiates the score
once more. torchebm's denoising score matching, where an interpreter that has it is given, runs on
the same network, data and noise level, and its loss is compared first. A walk of annealed Langevin
takes as many gradients as the bare ones beside it; its memory is the peak of a fresh process.
Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_energy.py [--rounds 7] [--torchebm PYTHON]
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from side_by_side import (
    ROOT,
    PeakMemory,
    describe_machine,
    in_fresh_process,
    interleave,
    median,
    print_table,
)

#: Card, batch of a training step, chains of a walk, steps of a timed walk.
CARDS = {
    "dde-gaussians-2d": (256, 512, 100),
    "dde-mnist": (100, 64, 20),
    "dde-stacked-mnist": (128, 64, 10),
    "mdsm-fashion-mnist": (32, 16, 5),
}
WALKS = (20, 200)  # steps whose peaks of memory are compared
BARS = {"step": 3.3, "walk": 0.9}


def build(name: str) -> Any:
    """A card's model with the density's network alone, and one noise level."""
    import torch

    from zoo import catalog, registry
    from zoo.training.recipe import build_config

    torch.manual_seed(0)
    card = registry.load_card(str(ROOT / "cards" / name))
    config = build_config(card)
    if hasattr(config, "generator"):
        config.generator, config.initial_sigma = "none", None
    else:
        config.min_sigma = config.max_sigma = config.reference_sigma
    return catalog.load(catalog.find(card.architecture).model)(config)


def their_loss(python: str) -> type:
    """torchebm's loss, of the packages that belong to another interpreter."""
    found = subprocess.run(
        [python, "-c", "import torchebm, os; print(os.path.dirname(torchebm.__path__[0]))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sys.path.append(found.stdout.strip())  # last, so that torch stays this interpreter's
    from torchebm.losses import DenoisingScoreMatching

    loss: type = DenoisingScoreMatching
    return loss


def their_step(loss: type, model: Any, x: Any) -> Callable[[], Any]:
    """Their loss of a batch on the model's network."""
    from torchebm.core import BaseModel

    class Energy(BaseModel):
        def __init__(self) -> None:
            super().__init__(device="cpu")
            self.inner = model

        def forward(self, x: Any) -> Any:
            return -self.inner.raw_log_density(x)

    compute = loss(model=Energy(), noise_scale=model.noise_level, device="cpu")
    return lambda: compute(x)


def walk(name: str, steps: int) -> float:
    """Peak MB of a walk above those of its first step."""
    model = build(name)
    chains = model.eval().chains(CARDS[name][1], steps=steps, seed=0)
    next(chains)
    with PeakMemory() as peak:
        for _ in chains:
            pass
    return peak.megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cards", nargs="+", default=list(CARDS), choices=CARDS)
    parser.add_argument("--torchebm", metavar="PYTHON", help="interpreter that has torchebm")
    parser.add_argument("--walk", nargs=2, metavar=("CARD", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk:
        print(walk(options.walk[0], int(options.walk[1])))
        return
    import torch

    loss = their_loss(options.torchebm) if options.torchebm else None
    print(describe_machine())
    steps, walks = [], []
    for name in options.cards:
        batch, num_chains, length = CARDS[name]
        model = build(name).train()
        x = torch.rand(batch, *model.config.data_shape)
        parameters = list(model.parameters())

        def backward(value: Any, parameters: list[Any] = parameters) -> None:
            for parameter in parameters:
                parameter.grad = None
            value.backward()

        arms: dict[str, Callable[[], object]] = {
            "plain": lambda m=model, x=x, b=backward: b(m.raw_log_density(x).sum()),
            "genae": lambda m=model, x=x, b=backward: b(m(x).loss),
        }
        if loss is not None:
            theirs = their_step(loss, model, x)
            torch.manual_seed(1)
            expected = model(x).density_loss.item() / model.noise_level**4
            torch.manual_seed(1)
            ratio = theirs().item() / expected
            assert min(abs(ratio - 1), abs(ratio - 0.5)) < 1e-4, ratio  # theirs is halved
            arms["torchebm"] = lambda t=theirs, b=backward: b(t())
        times = interleave(arms, options.rounds)

        def over(first: str, second: str, times: dict[str, list[float]] = times) -> str:
            if first not in times:
                return ""
            pairs = zip(times[first], times[second], strict=True)
            return f"{median([a / b for a, b in pairs]):.2f}"

        shown = [f"{median(times[arm]):,.1f}" if arm in times else "" for arm in
                 ("plain", "genae", "torchebm")]  # fmt: skip
        steps.append([name, *shown, over("genae", "plain"), over("torchebm", "genae")])

        model.eval()
        start = next(model.chains(num_chains, seed=0)).x

        def bare(model: Any = model, x: Any = start, length: int = length) -> None:
            for _ in range(length):
                x = x.detach().requires_grad_()
                torch.autograd.grad(model.raw_log_density(x).sum(), x)

        def chains(model: Any = model, count: int = num_chains, length: int = length) -> None:
            for _ in model.chains(count, steps=length, seed=0):
                pass

        times = interleave({"bare": bare, "walk": chains}, options.rounds)
        peaks = [in_fresh_process(__file__, "--walk", name, steps) for steps in WALKS]
        shares = [a / b for a, b in zip(times["bare"], times["walk"], strict=True)]
        walks.append([
            name, f"{num_chains}", f"{median(times['bare']) / length:,.1f}",
            f"{median(times['walk']) / length:,.1f}", f"{median(shares):.2f}",
            *(f"{float(peak):.1f}" for peak in peaks),
        ])  # fmt: skip
    title = f"A training step, CPU ms; wanted: genae over plain at most {BARS['step']}"
    headings = ["card", "plain", "genae", "torchebm", "genae / plain", "torchebm / genae"]
    print_table(title, headings, steps)
    title = (
        f"A step of a walk, CPU ms; wanted: at least {BARS['walk']} of the bare gradients' speed"
    )
    headings = ["card", "chains", "gradient", "step", "share", *(f"MB, {n} steps" for n in WALKS)]
    print_table(title, headings, walks)


if __name__ == "__main__":
    main()
