"""A training step of genae's Trainer against a bare loop with the same batches.

Both do the same work: the same 8-bit batches to floats, forward, backward, gradient clipping,
fused AdamW, a schedule. What is timed is the steady state, after the first steps of each round.
On a GPU, `--device cuda --bf16`: the weights in float32, what is computed in bfloat16.
Run: python tests/benchmarks/bench_training.py [--steps 300] [--rounds 5] [--nets mlp conv]
"""

import argparse
import tempfile
import time

from side_by_side import describe_machine, median, print_table

WARM_UP, CLIP, LEARNING_RATE = 10, 100.0, 1e-3
NETS = {
    "mlp": {"network": "dense", "image_size": 28, "hidden_sizes": [512]},
    "conv": {"network": "convolutional", "image_size": 32, "width_multiplier": 0.125},
}


def make(net: str, batch: int, steps: int):
    """An EAE with seeded weights, and random 8-bit images for all steps."""
    import torch

    from zoo import EAEConfig, EAEModel
    from zoo.data import Images

    torch.manual_seed(0)
    model = EAEModel(EAEConfig(latent_size=16, **NETS[net]))
    side = NETS[net]["image_size"]
    pixels = torch.randint(0, 256, (min(batch * steps, 8192), 1, side, side), dtype=torch.uint8)
    return model, Images(pixels, None, "noise", "train")


def clocks(device: str) -> tuple[float, float]:
    """Wall and CPU seconds, when the device has done what it was given."""
    import torch

    if device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter(), time.process_time()


def per_step(start, end, steps: int) -> tuple[float, float]:
    """Wall and CPU milliseconds a step."""
    wall, cpu = (1000 * (b - a) / steps for a, b in zip(start, end, strict=True))
    return wall, cpu


def genae(
    net: str, batch: int, steps: int, device: str = "cpu", bf16: bool = False
) -> tuple[float, float]:
    """The Trainer, with the settings `genae train` gives it."""
    from transformers import TrainerCallback, TrainingArguments

    from zoo.data import ImageDataset
    from zoo.training.callbacks import without_default_output
    from zoo.training.recipe import DEFAULTS
    from zoo.training.trainer import ImageTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step in (WARM_UP, WARM_UP + steps):
                marks.append(clocks(device))

    model, images = make(net, batch, steps)
    settings = {
        **DEFAULTS,
        "save_strategy": "no",
        "max_steps": WARM_UP + steps,
        "per_device_train_batch_size": batch,
        "learning_rate": LEARNING_RATE,
        "max_grad_norm": CLIP,
        "use_cpu": device == "cpu",
        "bf16": bf16,
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(output_dir=folder, **settings)
        data = ImageDataset(images.to(arguments.device))  # as `genae train` places them
        trainer = ImageTrainer(model=model, args=arguments, train_dataset=data)
        without_default_output(trainer)
        trainer.add_callback(Clock())
        trainer.train()
    return per_step(*marks, steps)


def bare(
    net: str, batch: int, steps: int, device: str = "cpu", bf16: bool = False
) -> tuple[float, float]:
    """The loop one would write by hand."""
    import torch

    model, images = make(net, batch, steps)
    model.to(device).train()
    pixels = images.pixels.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True
    )
    total = WARM_UP + steps
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    done, start = 0, None
    while done < total:
        for indices in torch.randperm(len(images)).split(batch):
            if len(indices) < batch or done == total:
                break
            values = pixels[indices.to(device)].float().div_(255)
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                loss = model(pixel_values=values).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            done += 1
            if done == WARM_UP:
                start = clocks(device)
    return per_step(start, clocks(device), steps)


ARMS = {"genae": genae, "bare loop": bare}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="in all, shared by the rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--device", default="cpu", help="cuda for a GPU")
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    print(describe_machine())
    steps = max(1, -(-options.steps // options.rounds))
    rows = []
    for net in options.nets:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ARMS}
        for number in range(options.rounds):
            # The arms take turns in going first.
            for name in sorted(ARMS, reverse=bool(number % 2)):
                arm = ARMS[name](net, options.batch, steps, options.device, options.bf16)
                found[name].append(arm)
        for name, times in found.items():
            wall, cpu = (median(list(clock)) for clock in zip(*times, strict=True))
            pairs = list(zip(times, found["bare loop"], strict=True))
            ratios = [median([a[i] / b[i] for a, b in pairs]) for i in (0, 1)]
            rows.append(
                [f"{net} {name}", f"{wall:.1f}", f"{ratios[0]:.3f}", f"{cpu:.1f}",
                 f"{ratios[1]:.3f}"]
            )  # fmt: skip
    headings = ["arm", "wall ms a step", "of bare", "CPU ms a step", "of bare"]
    title = f"EAE, batch {options.batch}, {steps} steps in each of {options.rounds} rounds"
    print_table(title, headings, rows)


if __name__ == "__main__":
    main()
