"""Forms of a Synthesizer's attention against dot products by SDPA, by length.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_attention.py [--sizes 256] [--rounds 5]
"""

import argparse

from side_by_side import describe_machine, interleave, print_table

DOT = "dot_product"
FORMS = (DOT, "random", "factorized_random", "dense", "factorized_dense", f"random+{DOT}")
TOKENS, WIDTH, HEADS = 1024, 512, 8
#: The attention block is the maps of queries, keys and values, the weights, the map behind them,
#: and the normalised sum; a layer is that and the feed-forward part.
PLACES = ("block", "layer")
WORK = ("forward", "step")


def prepare(form: str, size: int):
    """Functions without arguments by what they measure, for one form at one length."""
    import torch

    from zoo.models.text.attention import Context, Places
    from zoo.models.text.configuration_synthesizer import SynthesizerConfig
    from zoo.models.text.modeling_synthesizer import SynthesizerModel

    config = SynthesizerConfig(
        vocab_size=8, attention=form, hidden_size=WIDTH, num_hidden_layers=1,
        num_attention_heads=HEADS, intermediate_size=4 * WIDTH, max_position_embeddings=size,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    layer = SynthesizerModel(config).encoder.layer[0]
    context = Context(None, size, places=Places(0, None, None, False))
    values = torch.randn(max(1, TOKENS // size), size, WIDTH)
    read = values.clone().requires_grad_()

    def forward(module):
        if layer.training:  # else weights by position are kept, which `eval` drops
            layer.eval()
        with torch.no_grad():
            module(values, context, 0, None)

    def step(module):
        layer.train()
        layer.zero_grad()
        read.grad = None
        module(read, context, 0, None)[0].sum().backward()

    modules = dict(zip(PLACES, (layer.attention, layer), strict=True))
    return {
        f"{place}, {name}": (lambda run=run, module=module: run(module))
        for name, run in zip(WORK, (forward, step), strict=True)
        for place, module in modules.items()
    }


def measure(
    size: int, forms: tuple[str, ...], work: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Least CPU milliseconds of every form, by what was measured."""
    arms = {form: prepare(form, size) for form in forms}
    found: dict[str, dict[str, float]] = {}
    for what in (what for what in arms[DOT] if what.rpartition(" ")[2] in work):
        # A warm-up besides: weights by position are kept from the second forward pass on.
        for form in forms:
            arms[form][what]()
        times = interleave({form: arms[form][what] for form in forms}, rounds)
        found[what] = {form: min(values) for form, values in times.items()}
    return found


def crossing(ratios: dict[int, float]) -> str:
    """The first length at which a form is no faster than dot products."""
    slower = [size for size, ratio in ratios.items() if ratio <= 1]
    return str(slower[0]) if slower else f"above {max(ratios)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--forms", nargs="+", default=list(FORMS[1:]))
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe_machine())
    forms = (DOT, *options.forms)
    found = {size: measure(size, forms, options.work, options.rounds) for size in options.sizes}
    for what in next(iter(found.values())):
        rows = []
        for form in forms:
            ratios = {size: one[what][DOT] / one[what][form] for size, one in found.items()}
            if form == DOT:
                shown = [f"{one[what][DOT]:.1f} ms" for one in found.values()]
                rows.append([form, *shown, ""])
            else:
                rows.append([form, *(f"{r:.2f}" for r in ratios.values()), crossing(ratios)])
        headings = ["times as fast as", *map(str, options.sizes), "no faster at"]
        print_table(f"{what}: {WIDTH} wide, {HEADS} heads, by length", headings, rows)


if __name__ == "__main__":
    main()
