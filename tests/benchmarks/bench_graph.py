"""Training steps a second on a GPU: kernel by kernel, and each step as one CUDA graph.

A card's own training on random images that are on the GPU already; both arms take turns, each
in the steady state after its first steps.
Run: python tests/benchmarks/bench_graph.py [CARD ...] [--seconds 3] [--rounds 3]
"""

import argparse
import tempfile
import time
from pathlib import Path

from side_by_side import ROOT, describe_machine, median, print_table

WARM_UP, LOOK_EVERY, IMAGES = 30, 20, 20_000


def rate(folder: Path, seconds: float, graph: bool) -> float:
    """Steps a second."""
    import torch
    from transformers import TrainerCallback

    from zoo.card import Card
    from zoo.data import ImageDataset, Images
    from zoo.training.callbacks import without_default_output
    from zoo.training.recipes import build_recipe
    from zoo.training.settings import with_settings
    from zoo.training.trainer import ImageTrainer

    endless = ["save_strategy=no", "max_steps=1_000_000", "logging_steps=1_000_000"]
    card = with_settings(Card.load(folder), endless)
    config = build_recipe(card).config
    shape = (IMAGES, config.num_channels, config.image_size, config.image_size)
    images = Images(torch.randint(0, 256, shape, dtype=torch.uint8), None, "noise", "train")
    marks: list[tuple[int, float]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            over = bool(marks) and time.perf_counter() - marks[0][1] > seconds
            if state.global_step == WARM_UP or (over and state.global_step % LOOK_EVERY == 0):
                torch.cuda.synchronize()
                marks.append((state.global_step, time.perf_counter()))
                control.should_training_stop = over

    with tempfile.TemporaryDirectory() as work:
        recipe = build_recipe(card, work)
        trainer = ImageTrainer(
            model=recipe.model_class(config),
            args=recipe.arguments,
            train_dataset=ImageDataset(images.to(recipe.arguments.device)),
            binarization=recipe.data.binarization,
            augmentations=recipe.data.augmentations,
            num_views=recipe.data.num_views,
            cuda_graph=graph,
        )
        without_default_output(trainer)
        trainer.add_callback(Clock())
        trainer.train()
    (first, start), (last, end) = marks
    return (last - first) / (end - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cards", nargs="*", default=["iwae-mnist", "infomax-cifar10"])
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        print("graphs are launched on a CUDA device, and there is none here")
        return
    print(describe_machine(), torch.cuda.get_device_name())
    rows = []
    for name in options.cards:
        found: dict[bool, list[float]] = {False: [], True: []}
        for number in range(options.rounds):
            for graph in sorted(found, reverse=bool(number % 2)):
                found[graph].append(rate(ROOT / "cards" / name, options.seconds, graph))
        single, whole = median(found[False]), median(found[True])
        rows.append([name, f"{single:.0f}", f"{whole:.0f}", f"{whole / single:.1f}"])
    headings = ["card", "kernel by kernel", "as a graph", "ratio"]
    print_table("training steps a second", headings, rows)


if __name__ == "__main__":
    main()
