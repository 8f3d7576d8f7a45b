"""Nearest-neighbour entropy, forward and backward, against `torch.cdist` and topk.

Run: python tests/benchmarks/bench_entropy.py [--rounds 11] [--sizes 256 1024 8192]
"""

import argparse
import sys

from side_by_side import (
    PeakMemory,
    describe_machine,
    in_fresh_process,
    interleave,
    median,
    print_table,
)

DIMENSION, NEIGHBORS = 16, 3
ARMS = ("genae", "cdist", "cdist direct")


def genae(points):
    """Neighbours searched without a graph, then the distances of those found."""
    from zoo.models.images.entropy import neighbor_distances

    return neighbor_distances(points, NEIGHBORS).log().sum()


def cdist(points, compute_mode="use_mm_for_euclid_dist"):
    """The whole distance matrix with a graph, as one writes it first."""
    import torch

    distances = torch.cdist(points, points, compute_mode=compute_mode)
    mask = torch.eye(len(points), dtype=torch.bool, device=points.device)
    distances = distances.masked_fill(mask, float("inf"))
    return distances.topk(NEIGHBORS, largest=False).values.clamp(min=1e-6).log().sum()


def cdist_direct(points):
    """Likewise without the product that loses digits."""
    return cdist(points, "donot_use_mm_for_euclid_dist")


FUNCTIONS = dict(zip(ARMS, (genae, cdist, cdist_direct), strict=True))


def prepare(arm: str, count: int):
    """A function without arguments that runs one arm forward and backward."""
    import torch

    points = torch.randn(count, DIMENSION, generator=torch.Generator().manual_seed(0))
    points.requires_grad_()

    def step():
        points.grad = None
        FUNCTIONS[arm](points).backward()
        return points.grad

    return step


def print_memory(arm: str, count: int) -> None:
    """In a fresh process: the peak of one step above what was held before."""
    prepare(arm, 64)()  # libraries and thread pools are not the step's
    step = prepare(arm, count)
    with PeakMemory() as peak:
        step()
    print(peak.megabytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 8192])
    options = parser.parse_args()
    print(describe_machine())
    rows = []
    for count in options.sizes:
        arms = {arm: prepare(arm, count) for arm in ARMS}
        gradients = [arm() for arm in arms.values()]
        apart = max((g - gradients[-1]).abs().max().item() for g in gradients)
        rounds = options.rounds if count < 4096 else max(3, options.rounds // 3)
        times = interleave(arms, rounds)
        for arm in ARMS:
            memory = float(in_fresh_process(__file__, "memory", arm, count))
            ratios = [a / b for a, b in zip(times[arm], times["genae"], strict=True)]
            rows.append(
                [f"n={count} {arm}", f"{median(times[arm]):.1f}", f"{median(ratios):.2f}",
                 f"{memory:.0f}", f"{apart:.0e}"]
            )  # fmt: skip
    headings = ["arm", "CPU ms", "of genae's", "peak MB", "gradients apart"]
    print_table(f"d={DIMENSION}, k={NEIGHBORS}, float32, forward + backward", headings, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print_memory(sys.argv[2], int(sys.argv[3]))
    else:
        main()
