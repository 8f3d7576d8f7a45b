"""`zoo.classify` beside the bare model, whose batches are sorted by length, and are not.

Each arm reads the same texts, 32 at a time, with one tokenizer; `zoo.classify` looks the model up
and loads it each time, too. Times are CPU seconds; a ratio is the median of those within a round.
Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_classify.py MODEL TEXTS.parquet
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from side_by_side import describe_machine, interleave, median, print_table


def bare(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[list[float]]:
    """Probabilities of each text, in the order of the texts."""
    import torch

    found: list[list[float]] = []
    for start in range(0, len(texts), 32):
        inputs = tokenizer(
            texts[start : start + 32],
            return_tensors="pt",
            padding=True,
            truncation=True,
            max_length=min(tokenizer.model_max_length, model.config.max_position_embeddings),
        )
        with torch.no_grad():
            found += model(**inputs).logits.softmax(-1).tolist()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--column", default="text")
    parser.add_argument("--number", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    import pyarrow.parquet
    import transformers

    import zoo

    table = pyarrow.parquet.read_table(asked.texts, columns=[asked.column])
    texts = table[asked.column].to_pylist()[: asked.number]
    model = zoo.from_pretrained(asked.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.model)
    ordered = sorted(texts, key=len)
    times = interleave(
        {
            "bare, sorted": lambda: bare(model, tokenizer, ordered),
            "bare": lambda: bare(model, tokenizer, texts),
            "zoo.classify": lambda: zoo.classify(asked.model, texts),
        },
        asked.rounds,
    )
    print(describe_machine())
    rows = []
    for name, each in times.items():
        ratios = [a / b for a, b in zip(times["bare, sorted"], each, strict=True)]
        rows.append([name, f"{median(each) / 1000:.2f}", f"{median(ratios):.2f}"])
    print_table(f"{len(texts)} texts", ["", "CPU seconds", "speed"], rows)


if __name__ == "__main__":
    main()
