"""An optimizer's step with groups of layer-wise rates, against one group and one group a tensor.

Run: python tests/benchmarks/bench_rates.py [--layers 12] [--rounds 21] [--optimizer AdamW]
"""

import argparse

from side_by_side import describe_machine, interleave, median, print_table


def prepare(layers: int, optimizer: str, groups):
    """A function without arguments that makes one step; gradients stay the same.

    Args:
        layers: of a BERT 768 wide.
        optimizer: a class of torch that has fused steps.
        groups: from a model to what the optimizer is made of.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(num_hidden_layers=layers))
    made = groups(model)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    step = getattr(torch.optim, optimizer)(made, lr=2e-5, fused=True).step
    return step, len(made)


def layerwise(model):
    """Rates that fall by 0.9 a layer, no decay for biases and norms."""
    from zoo.training import parameter_groups

    return parameter_groups(model, 2e-5, weight_decay=0.01, layer_decay=0.9, head=10.0)


def one_group(model):
    """All tensors."""
    return [{"params": list(model.parameters())}]


def one_a_tensor(model):
    """What a rate for every name makes without merging."""
    return [{"params": [parameter]} for parameter in model.parameters()]


ARMS = {"one group": one_group, "layer-wise": layerwise, "one group a tensor": one_a_tensor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--optimizer", default="AdamW")
    options = parser.parse_args()
    print(describe_machine())
    steps, counts = {}, {}
    for name, groups in ARMS.items():
        steps[name], counts[name] = prepare(options.layers, options.optimizer, groups)
    times = interleave(steps, options.rounds)
    rows = []
    for name in ARMS:
        ratios = [a / b for a, b in zip(times[name], times["one group"], strict=True)]
        rows.append(
            [name, str(counts[name]), f"{median(times[name]):.1f}", f"{median(ratios):.3f}"]
        )
    headings = ["arm", "groups", "CPU ms a step", "of one group's"]
    print_table(f"fused {options.optimizer}, BERT of {options.layers} layers", headings, rows)


if __name__ == "__main__":
    main()
