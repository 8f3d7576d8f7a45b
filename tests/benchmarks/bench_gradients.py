"""Operations on the gradients of a BERT-base, beside torch's own calls and other packages'.

Every operation finds the same gradients and has something to do in every tensor; giving them back
is not timed. The chain of five is compared with a training step of 8 x 128 tokens: forward,
backward, fused AdamW. Peers that torch lacks are found on the path, or in the folder that PEERS
names, such as one made by `pip install --no-deps --target FOLDER timm pytorch_optimizer`; of timm
the one file that needs torch alone is read. What peers compute is compared first.
Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_gradients.py [--rounds 11] [--steps 3]
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

from side_by_side import describe_machine, interleave, median, print_table

LIMIT = 1e-4  # gradients have a standard deviation ten times as large
SIZE = 1e-3


def peers() -> dict[str, tuple[str, Callable[[list[Any]], object]]]:
    """Operation -> a peer's name and its call, of those that are there."""
    import torch

    found: dict[str, tuple[str, Callable[[list[Any]], object]]] = {
        "clip_global_norm": ("torch", lambda p: torch.nn.utils.clip_grad_norm_(p, LIMIT)),
        "clip_value": ("torch", lambda p: torch.nn.utils.clip_grad_value_(p, LIMIT)),
    }
    for folder in (os.environ.get("PEERS", ""), *sys.path):
        file = os.path.join(folder, "timm/utils/agc.py")
        if folder and os.path.exists(file):
            spec = importlib.util.spec_from_file_location("timm_agc", file)
            assert spec is not None
            assert spec.loader is not None
            agc = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(agc)
            found["adaptive_clip"] = ("timm", agc.adaptive_clip_grad)
            break
    try:
        theirs = importlib.import_module("pytorch_optimizer.optimizer.gradient_centralization")
    except ImportError as error:
        print(f"without pytorch_optimizer: {error}")
    else:
        found["centralize"] = (
            "pytorch_optimizer",
            lambda p: [theirs.centralize_gradient(x.grad) for x in p],
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    sys.path += filter(None, [os.environ.get("PEERS")])
    import torch
    from transformers import BertConfig, BertModel

    from zoo.training import (
        AdaptiveClip,
        Centralize,
        Chain,
        ClipGlobalNorm,
        ClipNorm,
        ClipValue,
        Drop,
        FiniteGuard,
        Noise,
        Normalize,
        Project,
        Scale,
        Sign,
        TopK,
    )

    torch.manual_seed(0)
    model = BertModel(BertConfig())
    parameters = list(model.parameters())
    given = [torch.randn_like(each) * SIZE for each in parameters]

    def restore() -> None:
        for parameter, gradient in zip(parameters, given, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient.clone()
            parameter.grad.copy_(gradient)

    operations = {
        "clip_value": [ClipValue(LIMIT)],
        "clip_norm": [ClipNorm(LIMIT)],
        "clip_global_norm": [ClipGlobalNorm(LIMIT)],
        "adaptive_clip": [AdaptiveClip()],
        "normalize": [Normalize()],
        "centralize": [Centralize(embeddings=True)],
        "sign": [Sign()],
        "scale": [Scale(0.5)],
        "finite_guard": [FiniteGuard()],
        "noise": [Noise()],
        "drop": [Drop(0.1)],
        "top_k": [TopK(share=0.01)],
        "five, centred first": [
            Centralize(), ClipValue(2 * LIMIT), ClipNorm(LIMIT), ClipGlobalNorm(LIMIT),
            FiniteGuard(),
        ],
        "five, centred last": [
            ClipValue(2 * LIMIT), ClipNorm(LIMIT), ClipGlobalNorm(LIMIT), Centralize(),
            FiniteGuard(),
        ],
    }  # fmt: skip
    chains = {name: Chain(made) for name, made in operations.items()}
    others = peers()
    for name, (peer, call) in others.items():
        restore()
        call(parameters)
        expected = [each.grad.clone() for each in parameters]
        restore()
        chains[name].apply(model)
        for parameter, one in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, one, rtol=1e-4, atol=1e-9, msg=peer)

    print(describe_machine())
    arms: dict[str, Callable[[], object]] = {
        name: lambda chain=chain: chain.apply(model) for name, chain in chains.items()
    }
    arms |= {f"peer of {n}": lambda call=call: call(parameters) for n, (_, call) in others.items()}
    times = interleave(arms, options.rounds, before=restore)

    tokens = torch.randint(0, 30522, (8, 128))
    optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        model(tokens).last_hidden_state.square().mean().backward()
        optimizer.step()

    training = median(interleave({"step": step}, options.steps)["step"])

    def ratio(name: str, other: str) -> str:
        pairs = zip(times[name], times[other], strict=True)
        return f"{median([a / b for a, b in pairs]):.2f}"

    rows = []
    for name in chains:
        peer = f"peer of {name}"
        has = name in others
        rows.append([
            name, f"{median(times[name]):.1f}", f"{100 * median(times[name]) / training:.2f}",
            others[name][0] if has else "", f"{median(times[peer]):.1f}" if has else "",
            ratio(name, peer) if has else "",
        ])  # fmt: skip
    title = (
        f"CPU ms on {sum(p.numel() for p in parameters):,} gradients in {len(parameters)} "
        f"tensors; a step takes {training:,.0f}. Wanted: at most 1.2 of torch's, the five at most "
        "2 % of a step"
    )
    print_table(title, ["operation", "ms", "% of a step", "peer", "ms", "genae / peer"], rows)
    print(f"clip_norm over torch's global clip: {ratio('clip_norm', 'peer of clip_global_norm')}")

    def surgery() -> None:
        model.zero_grad()
        output = model(tokens).last_hidden_state
        projection.backward([output.square().mean(), output.sin().mean()], model)

    def two_backwards() -> None:
        model.zero_grad()
        output = model(tokens).last_hidden_state
        output.square().mean().backward(retain_graph=True)
        output.sin().mean().backward()

    projection = Chain([Project()])
    projected = interleave({"project": surgery, "two": two_backwards}, options.steps)

    one, two = (median(projected[name]) for name in ("project", "two"))
    print(f"project, two losses: {one:,.0f} ms with its backwards, {two:,.0f} those alone")


if __name__ == "__main__":
    main()
