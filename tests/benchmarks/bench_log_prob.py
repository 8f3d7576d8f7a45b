"""The importance-weighted bound of a VAE: weights a second, and memory against samples.

The peers are what one writes first: all samples of a batch decoded at once, and a loop over
images. Run: python tests/benchmarks/bench_log_prob.py [--rounds 5] [--samples 10 100 1000]
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

IMAGES = 32


def make():
    """A dense Bernoulli VAE with random weights, and random two-valued images."""
    import torch

    from zoo import VAEConfig, VAEModel

    torch.manual_seed(0)
    config = VAEConfig(
        network="dense", image_size=28, hidden_sizes=[200, 200], latent_size=50,
        likelihood="bernoulli",
    )  # fmt: skip
    return VAEModel(config).eval(), torch.bernoulli(torch.rand(IMAGES, 1, 28, 28))


def genae(model, images, samples):
    """The model's own method."""
    return model.log_prob(images, samples)


def log_weights(model, images, samples):
    """Log importance weights `(samples, B)`, everything at once."""
    import torch

    from zoo.models.images.bounds import gaussian_log_prob

    mean, log_var = (part.expand(samples, -1, -1) for part in model.posterior(images))
    latents = mean + (0.5 * log_var).exp() * torch.randn(mean.shape)
    params = model.decoder(latents.flatten(0, 1))
    repeated = images.expand(samples, *images.shape).flatten(0, 1)
    zeros = torch.zeros_like(latents)
    return (
        model.likelihood.log_prob(params, repeated).view(samples, -1)
        + gaussian_log_prob(latents, zeros, zeros)
        - gaussian_log_prob(latents, mean, log_var)
    )


def at_once(model, images, samples):
    """All samples of the batch in one piece."""
    import torch

    with torch.no_grad():
        weights = log_weights(model, images, samples)
        return torch.logsumexp(weights, 0) - torch.tensor(float(samples)).log()


def image_by_image(model, images, samples):
    """A loop over images, each encoded and decoded alone."""
    import torch

    return torch.cat([at_once(model, image[None], samples) for image in images])


ARMS = {"genae": genae, "at once": at_once, "by image": image_by_image}


def print_memory(arm: str, samples: int) -> None:
    """In a fresh process: the peak of one call above what was held before."""
    model, images = make()
    ARMS[arm](model, images[:2], 2)
    with PeakMemory() as peak:
        ARMS[arm](model, images, samples)
    print(peak.megabytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    print(describe_machine())
    model, images = make()
    rows = []
    for samples in options.samples:
        calls = {
            name: lambda arm=arm, samples=samples: arm(model, images, samples)
            for name, arm in ARMS.items()
        }
        times = interleave(calls, options.rounds)
        for name in ARMS:
            per_second = IMAGES * samples / median(times[name]) * 1000
            ratios = [a / b for a, b in zip(times[name], times["genae"], strict=True)]
            memory = float(in_fresh_process(__file__, "memory", name, samples))
            rows.append(
                [f"K={samples} {name}", f"{per_second:,.0f}", f"{median(ratios):.2f}",
                 f"{memory:.0f}"]
            )  # fmt: skip
    headings = ["arm", "weights per CPU second", "time of genae's", "peak MB"]
    print_table(f"784-200-200-50 Bernoulli VAE, {IMAGES} images", headings, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        print_memory(sys.argv[2], int(sys.argv[3]))
    else:
        main()
