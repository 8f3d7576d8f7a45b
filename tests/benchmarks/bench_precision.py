"""What bfloat16 and torch.compile cost and save: encoding a batch in four ways.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_precision.py [--model genae/vae-mnist]
[--batch 256] [--rounds 11]. Of a text model it is the forward pass of texts of 64 tokens.
"""

import argparse
import time

from side_by_side import describe_machine, interleave, median, print_table

TOKENS = 64  # a text


def inputs_of(model, batch: int):
    """Random inputs: images, or ids of texts."""
    import torch

    config, generator = model.config, torch.Generator().manual_seed(0)
    if hasattr(config, "image_size"):
        shape = (batch, *config.data_shape)
        return {"pixel_values": torch.rand(shape, generator=generator).round()}
    shape = (batch, TOKENS)
    return {"input_ids": torch.randint(5, config.vocab_size, shape, generator=generator)}


def encoding(model):
    """The function that is measured: images to codes, or ids to scores of tokens."""
    if hasattr(model, "encode"):
        return lambda pixel_values: model.encode(pixel_values)
    return lambda input_ids: model(input_ids=input_ids)[0].float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="genae/vae-mnist")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    import torch

    import zoo

    print(describe_machine())
    single = zoo.from_pretrained(options.model)
    half = zoo.from_pretrained(options.model).bfloat16()
    functions = {
        "float32": encoding(single),
        "bfloat16": encoding(half),
        "float32, compiled": torch.compile(encoding(single)),
        "bfloat16, compiled": torch.compile(encoding(half)),
    }
    given = inputs_of(single, options.batch)

    def arm(function):
        def call():
            with torch.no_grad():
                return function(**given)

        return call

    arms = {name: arm(function) for name, function in functions.items()}
    first = {}
    for name, call in arms.items():
        start = time.process_time()
        call()
        first[name] = time.process_time() - start
    expected = arms["float32"]()
    times = interleave(arms, options.rounds)
    plain = times["float32"]
    rows = [
        [
            name,
            f"{median(times[name]):.1f}",
            f"{median([a / b for a, b in zip(plain, times[name], strict=True)]):.2f}",
            f"{first[name]:.1f}",
            f"{((arms[name]() - expected).abs().max() / expected.abs().max()).item():.1e}",
        ]
        for name in arms
    ]
    title = f"{options.model}, batch {options.batch}, medians of {options.rounds} rounds"
    headings = ["", "CPU ms", "times as fast", "first call, CPU s", "largest difference"]
    print_table(title, headings, rows)


if __name__ == "__main__":
    main()
