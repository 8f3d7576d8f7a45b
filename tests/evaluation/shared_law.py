"""Metrics of each way of sharing, on little data in small batches; a script writes them down."""

import json
import sys
from pathlib import Path
from typing import Any

from zoo import gathering, ranks
from zoo.evaluation import measure, subject, texts

DIGITS, CLOTHES = "examples-mnist", "examples-fashion-mnist"
#: Model, metric, data (None is the file of texts) and options.
CASES: dict[str, tuple[str, str, str | None, dict[str, Any]]] = {
    "sums": ("genae/eae-mnist", "reconstruction_mse", DIGITS, {}),
    "noise": ("genae/vae-mnist", "elbo", DIGITS, {}),
    "densities": ("genae/vae-mnist", "auroc", DIGITS, {"other": CLOTHES, "num_samples": 3}),
    "drawn codes": ("genae/vae-mnist", "entropy_gap", DIGITS, {"codes": "sample"}),
    "discrete codes": ("genae/vq-vae-fashion-mnist", "bits_per_code", CLOTHES, {}),
    "labels": ("genae/classifier-mnist-small", "accuracy", DIGITS, {}),
    "clusters": ("genae/vae-cluster-mnist", "clustering_accuracy", DIGITS, {}),
    "samples": ("genae/eae-mnist", "frechet_distance", DIGITS, {}),
    "tokens": ("genae/tiny-gpt2", "perplexity", None, {}),
}
#: In a batch, so that every process has some.
IMAGES, TEXTS = 16, 4


def measured(lines: str) -> dict[str, float]:
    """The number of each case.

    Args:
        lines: a file of texts.
    """
    found = {}
    for name, (model, metric, data, options) in CASES.items():
        (one,) = measure.evaluate(
            model, metrics=[metric], data=data or lines, split="train", options=options, seeds=[0],
            quiet=True,
        )  # fmt: skip
        found[name] = one.measured
    return found


if __name__ == "__main__":
    subject.BATCH, texts.BATCH = IMAGES, TEXTS
    with gathering.joined():
        told = json.dumps(measured(sys.argv[1]))
    Path(f"{sys.argv[2]}/{ranks.rank()}.json").write_text(told)
