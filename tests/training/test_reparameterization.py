"""Re-parameterised weights: recorded trajectories, equality with groups, files, merging, errors.

The recordings are of Keras 2.15 in float64 (tests/fixtures/README.md): a net of three layers, each
with a multiplier of its own for the learning rate.
"""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

from tests.tiny import TEXT
from zoo.errors import ConflictError, UsageError
from zoo.training import Rule, merge_parameters, parameter_groups, scale_parameters

FOLDER = Path(__file__).parents[1] / "fixtures/training/layerwise_lr"
RECORDED = sorted(FOLDER.glob("*.npz"))
TOLERANCE = 1e-12
MOMENTUM = float(np.float32(0.9))  # Keras casts some constants through float32


class KerasOptimizer(Optimizer):
    """The formulas of Keras, whose epsilon and constants are not those of torch."""

    def __init__(self, groups, rule, lr=0.0, eps=0.0):
        super().__init__(groups, {"lr": lr, "eps": eps})
        self.rule = rule
        self.steps = 0

    @torch.no_grad()
    def step(self):
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                parameter += self.rule(
                    parameter.grad, state, self.steps, group["lr"], group["eps"]
                )


def sgd(gradient, state, step, lr, eps):
    return -lr * gradient


def momentum(gradient, state, step, lr, eps):
    state["v"] = MOMENTUM * state.get("v", 0) - lr * gradient
    return state["v"]


def nesterov(gradient, state, step, lr, eps):
    return MOMENTUM * momentum(gradient, state, step, lr, eps) - lr * gradient


def adam(gradient, state, step, lr, eps):
    first, second = float(np.float32(0.9)), float(np.float32(0.999))
    state["m"] = 0.9 * state.get("m", 0) + (1 - 0.9) * gradient
    state["v"] = 0.999 * state.get("v", 0) + (1 - 0.999) * gradient**2
    rate = lr * (1 - second**step) ** 0.5 / (1 - first**step)
    return -rate * state["m"] / (state["v"].sqrt() + eps)


def rmsprop(gradient, state, step, lr, eps):
    state["a"] = 0.875 * state.get("a", 0) + (1 - 0.875) * gradient**2
    return -lr * gradient / (state["a"].sqrt() + eps)


RULES = {each.__name__: each for each in (sgd, momentum, nesterov, adam, rmsprop)}


def recorded_net(record):
    net = nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)
    ).double()
    with torch.no_grad():
        for layer in range(3):
            net[2 * layer].weight.copy_(torch.from_numpy(record[f"init_w{layer}"].T))
            net[2 * layer].bias.copy_(torch.from_numpy(record[f"init_b{layer}"]))
    return net


def gap(net, optimizer, record, run):
    """The largest difference from a recorded trajectory, of all weights after every step."""
    largest = 0.0
    for step, (inputs, targets) in enumerate(zip(record["X"], record["Y"], strict=True)):
        optimizer.zero_grad()
        (net(torch.from_numpy(inputs)) - torch.from_numpy(targets)).square().mean().backward()
        optimizer.step()
        for layer in range(3):
            for letter, weight in (("w", net[2 * layer].weight.T), ("b", net[2 * layer].bias)):
                wanted = record[f"{run}_{letter}{layer}"][step]
                largest = max(largest, np.abs(weight.detach().numpy() - wanted).max())
    return largest


def settings(record, path):
    rule = path.stem.split("_")[0]
    kind = "adaptive" if rule in ("adam", "rmsprop") else "sgd"
    eps = float(record["epsilon"]) if kind == "adaptive" else 0.0
    factors = {f"{2 * layer}.*": m for layer, m in enumerate(record["multipliers"].tolist())}
    return RULES[rule], kind, float(record["lr"]), eps, factors


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def recorded(request):
    record = dict(np.load(request.param))
    return record, settings(record, request.param)


def test_there_are_recordings_of_every_optimizer():
    assert {path.stem.split("_")[0] for path in RECORDED} == RULES.keys()


def test_groups_follow_the_recording(recorded):
    record, (rule, _, lr, eps, factors) = recorded
    net = recorded_net(record)
    rules = [Rule(pattern, scale=factor) for pattern, factor in factors.items()]
    optimizer = KerasOptimizer(parameter_groups(net, lr, rules=rules), rule, eps=eps)
    assert gap(net, optimizer, record, "scaled") < TOLERANCE


def test_reparameterised_weights_follow_the_recording(recorded):
    record, (rule, kind, lr, eps, factors) = recorded
    net = recorded_net(record)
    scale_parameters(net, factors, kind)
    optimizer = KerasOptimizer(net.parameters(), rule, lr, eps)
    assert gap(net, optimizer, record, "reparam") < TOLERANCE
    stored = net[0].parametrizations.weight.original.detach().numpy().T
    assert np.abs(stored - record["reparam_stored_w0"][-1]).max() < TOLERANCE


def test_with_the_optimizer_they_equal_the_groups(recorded):
    """Epsilon included: without it the recordings differ by up to 0.04."""
    record, (rule, kind, lr, eps, factors) = recorded
    for run in ("scaled", "reparam_epsfix" if kind == "adaptive" else "reparam"):
        net = recorded_net(record)
        optimizer = KerasOptimizer(net.parameters(), rule, lr, eps)
        scale_parameters(net, factors, kind, optimizer)
        assert gap(net, optimizer, record, run) < TOLERANCE
        merge_parameters(net)
        last = record[f"{run}_w2"][-1]
        assert np.abs(net[4].weight.detach().numpy().T - last).max() < TOLERANCE


TORCH = {
    "SGD": {"lr": 0.1},
    "SGD momentum": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "SGD nesterov": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "Adam amsgrad": {"lr": 0.01, "eps": 1e-3, "amsgrad": True},
    "AdamW": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "NAdam": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "NAdam decoupled": {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "Adamax": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    "RMSprop": {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.5},
    "RMSprop centered": {"lr": 0.01, "eps": 1e-3, "centered": True},
    "Adagrad": {"lr": 0.05, "eps": 1e-3, "weight_decay": 0.1},
}
FACTORS = {"0.*": 0.3, "2.weight": 2.0, "2.bias": 1.7}


def net_of_two():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()


def train(net, optimizer, steps=20):
    inputs = torch.randn(
        steps, 8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    for batch in inputs:
        optimizer.zero_grad()
        (net(batch) - 1).square().mean().backward()
        optimizer.step()
    return torch.cat([net[i].weight.detach().flatten() for i in (0, 2)] + [net[2].bias.detach()])


@pytest.mark.parametrize("name", TORCH)
def test_torch_s_own_optimizers_agree_with_groups_decay_included(name):
    make, options = getattr(torch.optim, name.split()[0]), dict(TORCH[name])
    rules = [Rule(pattern, scale=factor) for pattern, factor in FACTORS.items()]
    rules.append(Rule("*", weight_decay=options.get("weight_decay", 0.0)))
    grouped = net_of_two()
    start = train(grouped, torch.optim.SGD(grouped.parameters(), 0.0), 1)
    groups = parameter_groups(grouped, options.pop("lr"), rules=rules)
    expected = train(grouped, make(groups, **options))

    stored = net_of_two()
    optimizer = make(stored.named_parameters(), **TORCH[name])
    scale_parameters(stored, FACTORS, optimizer=optimizer)
    found = train(stored, optimizer)
    assert (expected - start).abs().max() > 1e-2
    assert (found - expected).abs().max() < TOLERANCE


def test_without_the_optimizer_decoupled_decay_is_not_multiplied():
    """As documented: weights shrink by lr * decay, whatever the multiplier."""
    net = nn.Linear(1, 1, bias=False).double()
    before = net.weight.item()
    scale_parameters(net, {"weight": 0.25}, "adaptive")
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.5)
    (0 * net.weight).sum().backward()
    optimizer.step()
    assert net.weight.item() == pytest.approx(before * (1 - 0.1 * 0.5), rel=1e-12)


def scaled_bert():
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**TEXT)).eval()
    scale_parameters(model, {"*layer.0*": 0.1, "classifier.*": 10.0}, "adaptive")
    return model


def effective(model):
    """What modules compute with."""
    return {
        "query": model.bert.encoder.layer[0].attention.self.query.weight.detach().clone(),
        "norm": model.bert.encoder.layer[0].output.LayerNorm.bias.detach().clone(),
        "classifier": model.classifier.weight.detach().clone(),
    }


def test_files_hold_the_weights_in_use(tmp_path):
    model = scaled_bert()
    plain = BertForSequenceClassification(BertConfig(**TEXT)).eval()
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(model.state_dict())
    ids = torch.tensor([[3, 4, 5]])
    for loaded in (plain, None):
        if loaded is None:
            model.save_pretrained(tmp_path)
            loaded = BertForSequenceClassification.from_pretrained(tmp_path).eval()
        for name, weight in effective(model).items():
            assert torch.equal(effective(loaded)[name], weight), name
        with torch.no_grad():
            assert torch.allclose(loaded(ids).logits, model(ids).logits, atol=1e-6)


def test_a_scaled_model_loads_plain_weights():
    source = BertForSequenceClassification(BertConfig(**TEXT)).double()
    model = scaled_bert().double()
    model.load_state_dict(source.state_dict())
    for name, weight in effective(source).items():
        assert torch.allclose(effective(model)[name], weight, rtol=1e-15, atol=0), name
    with pytest.raises(RuntimeError, match=r"Unexpected key.*classifier\.wrong"):
        model.load_state_dict(source.state_dict() | {"classifier.wrong": torch.zeros(1)})


def test_merging_keeps_every_bit_and_leaves_plain_parameters():
    model = scaled_bert()
    names = {
        name for name, _ in BertForSequenceClassification(BertConfig(**TEXT)).named_parameters()
    }
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before, held = effective(model), {id(each) for each in model.parameters()}
    merged = merge_parameters(model)
    assert {name for name, _ in model.named_parameters()} == names == model.state_dict().keys()
    assert {id(each) for each in model.parameters()} == held  # an optimizer still has them
    assert {name for name in names if "layer.0" in name or "classifier" in name} == set(merged)
    for name, weight in effective(model).items():
        assert torch.equal(weight, before[name])
    assert type(model.classifier) is nn.Linear
    assert not model.classifier._state_dict_hooks
    assert not model.classifier._load_state_dict_pre_hooks
    model(torch.tensor([[3, 4]])).logits.sum().backward()
    optimizer.step()
    with pytest.raises(
        UsageError, match="no parameter of BertForSequenceClassification is scaled"
    ):
        merge_parameters(model)


def test_a_copy_is_scaled_and_merged_by_itself():
    model = scaled_bert()
    twin = copy.deepcopy(model)
    merge_parameters(twin)
    assert twin.state_dict().keys() == model.state_dict().keys()
    assert "classifier.weight" in model.state_dict()
    assert torch.equal(model.classifier.weight, twin.classifier.weight)
    merge_parameters(model)


def test_what_no_pattern_matches_stays_and_the_first_pattern_holds():
    net = net_of_two()
    factors = scale_parameters(net, {"0.weight": 4.0, "0.*": 9.0}, "sgd")
    assert factors == {"0.weight": 2.0, "0.bias": 3.0}
    assert {name for name, _ in net.named_parameters() if "parametr" not in name} == {
        "2.weight",
        "2.bias",
    }


def test_groups_are_split_with_their_names():
    net = net_of_two()
    optimizer = torch.optim.AdamW(net.named_parameters(), eps=1e-8, weight_decay=0.1)
    scale_parameters(net, {"0.weight": 0.5}, optimizer=optimizer)
    found = [(g["param_names"], g["eps"], g["weight_decay"]) for g in optimizer.param_groups]
    assert found == [
        (["0.weight"], 0.5e-8, 0.05),
        (["0.bias", "2.weight", "2.bias"], 1e-8, 0.1),
    ]


def stepped(net):
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    train(net, optimizer, 1)
    return optimizer


def scheduled(net):
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    return optimizer


def keras(net, **group):
    return KerasOptimizer([{"params": list(net.parameters()), **group}], sgd)


REFUSED = {
    "pattern": (
        lambda net: ({"0.wieght": 2.0}, "sgd"),
        "'0.wieght' matches no parameter.*'0.weight'",
    ),
    "multiplier": (lambda net: ({"*": 0.0}, "sgd"), "must be above 0, got 0.0"),
    "kind": (lambda net: ({"*": 2.0}, "adaptiv"), "Did you mean 'adaptive'"),
    "no kind": (lambda net: ({"*": 2.0},), "'sgd' or 'adaptive'"),
    "unknown": (lambda net: ({"*": 2.0}, None, keras(net)), "nothing is known of KerasOptimizer"),
    "other kind": (
        lambda net: ({"*": 2.0}, "sgd", torch.optim.AdamW(net.parameters())),
        "AdamW is 'adaptive', not 'sgd'",
    ),
    "undone": (
        lambda net: ({"*": 2.0}, "adaptive", torch.optim.Adadelta(net.parameters())),
        "Adadelta undoes it",
    ),
    "steps": (lambda net: ({"*": 2.0}, None, stepped(net)), "SGD has made steps"),
    "other model": (
        lambda net: ({"*": 2.0}, None, torch.optim.SGD(net_of_two().parameters())),
        "0.weight is not in SGD",
    ),
    "decay": (
        lambda net: ({"*": 2.0}, "sgd", keras(net, weight_decay=0.1)),
        "weight decay of KerasOptimizer",
    ),
    "accumulator": (
        lambda net: (
            {"*": 2.0},
            None,
            torch.optim.Adagrad(net.parameters(), initial_accumulator_value=0.1),
        ),
        "initial_accumulator_value must be 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named_and_nothing_is_changed(name):
    make, message = REFUSED[name]
    net = net_of_two()
    with pytest.raises(UsageError, match=message):
        scale_parameters(net, *make(net))
    assert [each for each, _ in net.named_parameters()] == [
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    ]


def test_conflicts_are_named():
    net = net_of_two()
    with pytest.raises(ConflictError, match="a scheduler knows the groups of SGD"):
        scale_parameters(net, {"*": 2.0}, optimizer=scheduled(net))
    scale_parameters(net, {"0.*": 2.0}, "sgd")
    with pytest.raises(ConflictError, match=r"0\.weight is re-parameterised already"):
        scale_parameters(net, {"*": 2.0}, "sgd")
    tied = BertForMaskedLM(BertConfig(**TEXT))
    with pytest.raises(ConflictError, match=r"word_embeddings\.weight is tied to cls"):
        scale_parameters(tied, {"*": 2.0}, "sgd")
    with pytest.raises(UsageError, match="LSTM a second time"):
        scale_parameters(nn.Sequential(nn.LSTM(2, 2)), {"*": 2.0}, "sgd")


def test_weights_that_are_tied_elsewhere_are_written_whole(tmp_path):
    model = BertForMaskedLM(BertConfig(**TEXT))
    scale_parameters(model, {"*layer.0*": 0.1}, "sgd")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_pretrained(tmp_path)
    loaded = BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    wanted = model.bert.encoder.layer[0].output.dense.weight
    assert torch.equal(loaded.encoder.layer[0].output.dense.weight, wanted)
