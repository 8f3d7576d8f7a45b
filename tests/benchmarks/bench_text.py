"""Text models beside transformers' BERT of the same size, and generation with and without a cache.

12 layers of 768, 12 heads, 3072 inside, 21,128 tokens, a batch of 8 x 128, the same attention
implementation, and the head that scores tokens (ELECTRA: its discriminator); GAU-alpha has 24
units, as published. T5 is measured beside transformers' T5. A training step is forward with
dropout, loss, backward and the first step of a fused Adam. Times are CPU seconds; a ratio is the
median of those within a round.
Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_text.py [--only nezha t5] [--generate gpt]
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from side_by_side import describe_machine, median, print_table

SIZES = {
    "vocab_size": 21128,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
T5 = {
    "vocab_size": 21128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
    "decoder_start_token_id": 0,
}
UNITS = {"num_attention_heads": 1, "intermediate_size": 1536, "attention_key_size": 128}
PLAIN = {"cross_position_bias": False}  # as Google's and transformers' T5

#: Name -> what the class is called before and behind its head, and its configuration.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "transformers bert": ("Bert", "ForMaskedLM", SIZES),
    "transformers t5": ("T5", "ForConditionalGeneration", T5),
    "bert": ("GenaeBert", "ForMaskedLM", SIZES),
    "albert": ("GenaeAlbert", "ForMaskedLM", SIZES),
    "nezha": ("GenaeNezha", "ForMaskedLM", SIZES),
    "roformer": ("GenaeRoFormer", "ForMaskedLM", SIZES),
    "roformer_v2": ("GenaeRoFormerV2", "ForMaskedLM", SIZES),
    "gau_alpha": ("GenaeGAUAlpha", "ForMaskedLM", SIZES | UNITS | {"num_hidden_layers": 24}),
    "electra": ("GenaeElectra", "ForPreTraining", SIZES),
    "gpt": ("GenaeGPT", "ForCausalLM", SIZES),
    "gpt2": ("GenaeGPT2", "ForCausalLM", SIZES),
    "gpt2_ml": ("GenaeGPT2ML", "ForCausalLM", SIZES),
    "t5": ("GenaeT5", "ForConditionalGeneration", T5 | PLAIN),
}
PEERS = {"t5": "transformers t5"}
PEER = "transformers bert"
EAGER_ONLY = ("nezha",)  # relative values need the probabilities
OURS = [name for name in MODELS if not name.startswith("transformers")]


def build(name: str, implementation: str, **more: Any):
    """A model of random weights."""
    import torch
    import transformers

    import zoo.models

    torch.manual_seed(0)
    stem, head, fields = MODELS[name]
    home: Any = zoo.models if stem.startswith("Genae") else transformers
    config = getattr(home, f"{stem}Config")(**fields | more)
    return getattr(home, stem + head)._from_config(config, attn_implementation=implementation)


def inputs_for(name: str, options) -> dict[str, Any]:
    """Token ids, a mask, and what a T5 decodes; a share of every second row is padding."""
    import torch

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 21128, (options.batch, options.length), generator=generator)
    mask = torch.ones_like(ids)
    if options.padded:
        mask[::2, int(options.length * (1 - options.padded)) :] = 0
    decoded = {"decoder_input_ids": ids} if name.endswith("t5") else {}
    return {"input_ids": ids, "attention_mask": mask} | decoded


def forward(name: str, model, options) -> None:
    """Without gradients and dropout."""
    import torch

    with torch.no_grad():
        model.eval()(**inputs_for(name, options))


def training(name: str, model, options) -> None:
    """One step; gradients and the optimizer's state are gone behind it."""
    import torch

    inputs = inputs_for(name, options)
    labels = inputs["input_ids"] % 2 if name == "electra" else inputs["input_ids"]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    model.train()(**inputs, labels=labels).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


JOBS: dict[str, Callable[..., None]] = {"forward": forward, "training": training}


def seconds(job: Callable[[], object]) -> float:
    """CPU time of this process; with one thread, what it would take alone."""
    start = time.process_time()
    job()
    return time.process_time() - start


def measure(implementation: str, options) -> list[list[str]]:
    """A row for each model."""
    names = [n for n in options.only if implementation == "eager" or n not in EAGER_ONLY]
    names = sorted({PEERS.get(name, PEER) for name in names}) + names
    models = {name: build(name, implementation) for name in names}
    tiny = argparse.Namespace(**vars(options) | {"batch": 1, "length": 8})
    times: dict[str, dict[str, list[float]]] = {}
    for job in options.jobs:
        times[job] = {name: [] for name in names}
        for name, model in models.items():
            JOBS[job](name, model, tiny)  # warm up
        for _ in range(options.rounds):
            for name, model in models.items():
                spent = seconds(lambda n=name, m=model, j=job: JOBS[j](n, m, options))
                times[job][name].append(spent)
    rows = []
    for name in names:
        row = [f"{name}, {implementation}"]
        peer = PEER if name in OURS else name
        for job in options.jobs:
            own, other = times[job][name], times[job][PEERS.get(name, peer)]
            ratio = median([a / b for a, b in zip(own, other, strict=True)])
            row += [f"{median(own):.2f}", f"{ratio:.2f}" if name in OURS else ""]
        rows.append(row)
    return rows


def generate(name: str, options) -> list[str]:
    """CPU seconds for new tokens with the cache and without it, in turns."""
    implementation = "eager" if name in EAGER_ONLY else "sdpa"
    model = build(name, implementation).eval()
    inputs = inputs_for(name, options)
    inputs.pop("decoder_input_ids", None)
    told = {"min_new_tokens": options.new, "do_sample": False, "pad_token_id": 0}
    model.generate(**inputs, max_new_tokens=1)  # warm up
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(options.rounds):
        for use in times:
            times[use].append(
                seconds(
                    lambda use=use: model.generate(
                        **inputs, **told, max_new_tokens=options.new, use_cache=use
                    )
                )
            )
    ratio = median([b / a for a, b in zip(*times.values(), strict=True)])
    return [name, *(f"{median(spent):.1f}" for spent in times.values()), f"{ratio:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=OURS, choices=OURS)
    parser.add_argument("--generate", nargs="*", default=[], choices=OURS)
    parser.add_argument("--attention", nargs="+", default=["eager", "sdpa"])
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--new", type=int, default=128, help="tokens to generate")
    parser.add_argument("--padded", type=float, default=0.0, help="share of every second row")
    parser.add_argument("--layers", type=int, help="another number, for a first look")
    options = parser.parse_args()
    if options.layers:
        for _, _, fields in MODELS.values():
            fields["num_layers" if "num_layers" in fields else "num_hidden_layers"] = (
                options.layers
            )
    print(describe_machine(), flush=True)
    shape = f"batch {options.batch} x {options.length}, {options.rounds} rounds, CPU s"
    headings = ["model", *(word for job in options.jobs for word in (job, "ratio"))]
    for implementation in options.attention if options.only else ():
        print_table(shape, headings, measure(implementation, options))
    if options.generate:
        title = f"{options.new} new tokens, {shape}"
        rows = [generate(name, options) for name in options.generate]
        print_table(title, ["model", "cache", "no cache", "ratio"], rows)


if __name__ == "__main__":
    main()
