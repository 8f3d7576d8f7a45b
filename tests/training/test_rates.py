"""Parameter groups: laws, optimizers, schedulers, the Trainer, and what is refused."""

import socket
import subprocess
import sys
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    Trainer,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

from tests.tiny import TEXT
from zoo.errors import ConflictError, UsageError
from zoo.training import MUON, Rule, parameter_groups


class Net(nn.Module):
    """Embeddings, three layers, a norm, a head."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(7, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)

    def forward(self, ids):
        hidden = self.embeddings(ids)
        for layer in self.layers:
            hidden = hidden + layer(hidden).tanh()
        return self.head(self.norm(hidden))


def loss(model):
    return model(torch.arange(7)).square().sum()


def of(groups):
    return {each.entry.name: each for each in groups.decisions}


SCALES = st.sampled_from([0.1, 0.5, 2.0, 3.0])
PATTERNS = st.sampled_from(["*", "*embeddings*", "layers.*", "*.bias", "head*", "layers.1*"])
RULES = st.lists(
    st.fixed_dictionaries(
        {"pattern": PATTERNS},
        optional={
            "scale": SCALES,
            "weight_decay": st.sampled_from([0.0, 0.3]),
            "freeze": st.sampled_from([True, False]),
        },
    ).filter(lambda table: len(table) > 1),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.sampled_from([0.5, 0.9, 1.0]), st.sampled_from([1.0, 10.0]))
def test_laws(rules, layer_decay, head):
    model = Net()
    rules = [{"pattern": "norm.weight", "freeze": False}, *rules]  # something is left to train
    groups = parameter_groups(
        model, 2e-3, weight_decay=0.01, layer_decay=layer_decay, head=head, rules=rules
    )
    made = [Rule.of(rule) for rule in rules]

    def first(entry, setting, otherwise):
        for rule in made:
            if getattr(rule, setting) is not None and rule.matches(entry):
                return getattr(rule, setting)
        return otherwise

    held = {
        name: (id(parameter), group["lr"], group["weight_decay"])
        for group in groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }
    assert sum(len(group["params"]) for group in groups) == len(held)
    for decision in groups.decisions:
        entry, parameter = decision.entry, model.get_parameter(decision.entry.name)
        frozen = first(entry, "freeze", False)
        assert decision.frozen == frozen == (not parameter.requires_grad)
        assert (entry.name in held) != frozen
        if not frozen:
            rate = 2e-3 * layer_decay ** (entry.place.top - entry.place.depth)
            rate *= first(entry, "scale", 1.0) * (head if entry.place.head else 1.0)
            plain = 0.01 if entry.kind in ("matrix", "head", "other") else 0.0
            decay = first(entry, "weight_decay", plain)
            # Merging changes no setting.
            assert held[entry.name] == (id(parameter), pytest.approx(rate, rel=1e-12), decay)
    assert [d.entry.name for d in groups.decisions] == [n for n, _ in model.named_parameters()]
    different = {(group["lr"], group["weight_decay"]) for group in groups}
    assert len(different) == len(groups)
    assert groups.rates(3.0) == [3.0 * group["lr"] for group in groups]


def test_defaults_and_the_first_rule_that_names_a_setting():
    rules = [
        Rule("layers.0.weight", scale=0.5),
        Rule("layers.*", scale=3.0, weight_decay=0.2),
        Rule(depth=range(0, 2), weight_decay=0.7),
        Rule(type=nn.LayerNorm, scale=7.0),
    ]
    found = of(parameter_groups(Net(), 1.0, weight_decay=0.01, head=10.0, rules=rules))
    assert (found["layers.0.weight"].rate, found["layers.0.weight"].weight_decay) == (0.5, 0.2)
    assert (found["layers.2.bias"].rate, found["layers.2.bias"].weight_decay) == (3.0, 0.2)
    assert found["embeddings.weight"].weight_decay == 0.7
    assert found["norm.weight"].rate == 7.0
    assert (found["head.weight"].rate, found["head.weight"].weight_decay) == (10.0, 0.01)
    assert found["head.bias"].weight_decay == found["norm.bias"].weight_decay == 0.0


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "LayerNorm"},
        {"type": nn.LayerNorm},
        {"depth": 4, "where": lambda entry: not entry.place.head},
        {"where": lambda entry: entry.name.startswith("norm")},
        {"kind": "norm", "pattern": "*weight"},
    ],
)
def test_selectors(rule):
    found = of(parameter_groups(Net(), 1.0, rules=[rule | {"scale": 2.0}]))
    scaled = {name for name, each in found.items() if each.rate == 2.0}
    assert scaled in ({"norm.weight", "norm.bias"}, {"norm.weight"})


def test_describe_says_what_decided():
    rules = [Rule("emb*", freeze=True), Rule("layers.1.weight", scale=0.1)]
    lines = parameter_groups(
        Net(), 2e-5, weight_decay=0.01, layer_decay=0.9, head=10.0, rules=rules
    ).describe()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines.splitlines()}
    assert rows["embeddings.weight"] == "0/4 7 x 4 frozen - Rule('emb*', freeze=True)"
    assert rows["layers.1.weight"] == (
        "2/4 4 x 4 1.62e-06 0.01 layer_decay, Rule('layers.1.weight', scale=0.1)"
    )
    assert rows["layers.2.bias"] == "3/4 4 1.8e-05 0 layer_decay, no decay: bias"
    assert rows["head.weight"] == "4/4 2 x 4 0.0002 0.01 head"
    assert lines.endswith("11 tensors, 106 numbers; 9 groups; frozen: 1")


def test_a_multiplier_on_adam_is_exactly_that_in_the_first_step():
    steps = {}
    for scale in (1.0, 0.25):
        torch.manual_seed(0)
        model = Net().double()
        before = model.layers[1].weight.detach().clone()
        rules = [Rule("layers.1.*", scale=scale)]
        optimizer = torch.optim.Adam(parameter_groups(model, 1e-3, rules=rules))
        loss(model).backward()
        optimizer.step()
        steps[scale] = model.layers[1].weight.detach() - before
    assert steps[1.0].abs().max() > 1e-4
    assert torch.allclose(steps[0.25], 0.25 * steps[1.0], rtol=1e-12, atol=1e-17)


def test_scaling_gradients_would_change_nothing_under_adam():
    """Why rates are groups and not factors of gradients."""
    ends = []
    for factor in (1.0, 0.25):
        torch.manual_seed(0)
        model = Net().double()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=0.0)
        loss(model).backward()
        for parameter in model.parameters():
            parameter.grad *= factor
        optimizer.step()
        ends.append(model.head.weight.detach().clone())
    assert torch.allclose(*ends, rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda groups: torch.optim.AdamW(groups, weight_decay=0.5),
        lambda groups: torch.optim.SGD(groups, momentum=0.9, weight_decay=0.5),
    ],
)
def test_frozen_parameters_never_move(make):
    model = Net()
    loss(model).backward()  # gradients are there before
    groups = parameter_groups(
        model, 0.1, weight_decay=0.5, rules=[Rule(depth=[0, 1], freeze=True)]
    )
    assert model.embeddings.weight.grad is None
    optimizer = make(groups)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    for _ in range(3):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
    moved = {n for n, each in model.state_dict().items() if not torch.equal(each, before[n])}
    assert moved == before.keys() - {"embeddings.weight", "layers.0.weight", "layers.0.bias"}


def test_bert_base_has_at_most_28_groups():
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig())
    groups = parameter_groups(model, 2e-5, weight_decay=0.01, layer_decay=0.9, head=10.0)
    assert 20 < len(groups) <= 28
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


OPTIMIZERS = {
    "AdamW": {"fused": True},
    "SGD": {"momentum": 0.9},
    "NAdam": {},
    "RMSprop": {},
    "Adafactor": {},
    "Rprop": {},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_the_groups_and_their_rates(name):
    model = Net()
    groups = parameter_groups(model, 1e-2, layer_decay=0.5)
    optimizer = getattr(torch.optim, name)(groups, **OPTIMIZERS[name])
    assert [group["lr"] for group in optimizer.param_groups] == groups.rates()
    before = model.head.weight.detach().clone()
    loss(model).backward()
    optimizer.step()
    assert not torch.equal(model.head.weight, before)
    groups.check(optimizer)


def test_a_state_of_the_optimizer_goes_back_by_name():
    groups = parameter_groups(Net(), 1e-2, layer_decay=0.5)
    state = torch.optim.AdamW(groups).state_dict()
    names = [name for group in state["param_groups"] for name in group["param_names"]]
    assert sorted(names) == sorted(name for name, _ in Net().named_parameters())
    torch.optim.AdamW(parameter_groups(Net(), 1e-2, layer_decay=0.5)).load_state_dict(state)


def test_muon_for_matrices_and_adamw_for_the_rest():
    model = Net()
    groups = parameter_groups(model, 1e-3, weight_decay=0.1, layer_decay=0.5, rules=MUON)
    parts = groups.split()
    names = {key: sorted(n for g in part for n in g["param_names"]) for key, part in parts.items()}
    assert names["muon"] == [f"layers.{i}.weight" for i in range(3)]
    assert "head.weight" in names[""]
    assert "embeddings.weight" in names[""]
    muon = torch.optim.Muon(parts["muon"], adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(parts[""])
    assert [group["lr"] for group in muon.param_groups] == [0.125e-3, 0.25e-3, 0.5e-3]
    before, start = {n: p.clone() for n, p in model.named_parameters()}, loss(model).item()
    for _ in range(3):
        for optimizer in (muon, adamw):
            optimizer.zero_grad()
        loss(model).backward()
        muon.step()
        adamw.step()
    assert loss(model).item() < start
    assert all(not torch.equal(p, before[n]) for n, p in model.named_parameters())
    groups.check(muon, adamw)


SCHEDULERS = {
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o),
    "exponential": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
    "transformers": lambda o: get_linear_schedule_with_warmup(o, 2, 10),
}


def after(optimizer, scheduler, steps=3):
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_that_scale_keep_the_ratios(name):
    groups = parameter_groups(Net(), 1e-2, layer_decay=0.5)
    optimizer = torch.optim.SGD(groups)
    rates = after(optimizer, SCHEDULERS[name](optimizer))
    groups.check(optimizer)
    ratios = [rate / base for rate, base in zip(rates, groups.rates(), strict=True)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-9)
    assert ratios[0] != pytest.approx(1.0)


def test_one_cycle_with_a_list_keeps_the_ratios_and_with_one_rate_warns():
    groups = parameter_groups(Net(), 1e-2, layer_decay=0.5)
    optimizer = torch.optim.SGD(groups)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, groups.rates(2.0), total_steps=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        groups.check(optimizer)
    rates = after(optimizer, scheduler)
    ratios = [rate / base for rate, base in zip(rates, groups.rates(), strict=True)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-9)

    groups = parameter_groups(Net(), 1e-2, layer_decay=0.5)
    optimizer = torch.optim.SGD(groups)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=10)
    with pytest.warns(UserWarning, match=r"max_lr=groups.rates\(factor\)"):
        groups.check(optimizer)


def test_a_cycle_between_lists_keeps_the_ratios_and_with_one_rate_warns():
    for lists in (True, False):
        groups = parameter_groups(Net(), 1e-2, layer_decay=0.5)
        optimizer = torch.optim.SGD(groups, momentum=0.9)
        low, high = (groups.rates(), groups.rates(4.0)) if lists else (1e-2, 4e-2)
        scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, low, high, step_size_up=4)
        if lists:
            groups.check(optimizer)  # a warning would fail the test
            rates = after(optimizer, scheduler)
            assert rates == pytest.approx(groups.rates(rates[-1] / groups.rates()[-1]))
        else:
            with pytest.warns(UserWarning, match=r"one initial_lr .*\(base_lr likewise\)"):
                groups.check(optimizer)


def test_the_trainer_takes_them(tmp_path):
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**TEXT))
    groups = parameter_groups(
        model, 1e-2, layer_decay=0.5, rules=[Rule("*embeddings*", freeze=True)]
    )
    optimizer = torch.optim.AdamW(groups)
    scheduler = get_linear_schedule_with_warmup(optimizer, 0, 4)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    rows = [{"input_ids": torch.randint(1, 30, (6,)), "labels": i % 2} for i in range(8)]
    arguments = TrainingArguments(
        tmp_path, max_steps=2, per_device_train_batch_size=4, use_cpu=True, report_to=[],
        save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=rows, optimizers=(optimizer, scheduler)).train()
    groups.check(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(groups.rates(0.5))
    moved = {n for n, each in model.state_dict().items() if not torch.equal(each, before[n])}
    assert moved
    assert not any("embeddings" in name for name in moved)
    assert any("layer.0" in name for name in moved)


REFUSED = {
    "pattern": (
        {"rules": [Rule("embedings*", scale=2.0)]},
        "Rule\\('embedings.*'embeddings.weight'",
    ),
    "type": ({"rules": [Rule(type=nn.Conv2d, scale=2.0)]}, "type=Conv2d, scale=2.0\\) matches no"),
    "depth": ({"rules": [Rule(depth=9, freeze=True)]}, "depth=9.*matches no parameter"),
    "table": ({"rules": [{"patern": "*", "scale": 1}]}, "no 'patern'. Did you mean 'pattern'"),
    "no rule": ({"rules": ["*"]}, "'\\*' is no rule"),
    "rate": ({"lr": 0.0}, "lr must be above 0, got 0.0"),
    "not a number": ({"lr": float("nan")}, "lr must be above 0"),
    "decay": ({"layer_decay": 2.6}, "2.6 is 1 / 2.6"),
    "weight decay": ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
    "all frozen": ({"rules": [Rule("*", freeze=True)]}, "every parameter of Net is frozen"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named(name):
    settings, message = REFUSED[name]
    model = Net()
    with pytest.raises(UsageError, match=message):
        parameter_groups(model, **{"lr": 1.0, **settings})
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": 2.0}, "needs something that says for which"),
        ({"pattern": "*"}, "needs something that sets"),
        ({"pattern": "*", "scale": 0.0}, "freeze=True"),
        ({"pattern": "*", "weight_decay": -0.1}, "below 0"),
        ({"kind": "matrx", "scale": 1.0}, "Did you mean 'matrix'"),
    ],
)
def test_rules_check_themselves(values, message):
    with pytest.raises(UsageError, match=message):
        Rule(**values)


def test_a_factor_for_what_is_not_there_is_refused():
    with pytest.raises(UsageError, match="nothing lies above the layers of Sequential"):
        parameter_groups(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), 1.0, head=10.0)
    with pytest.raises(UsageError, match="no layers are seen in Linear"):
        parameter_groups(nn.Linear(2, 2), 1.0, layer_decay=0.9)
    with pytest.raises(UsageError, match="ReLU has no parameters"):
        parameter_groups(nn.ReLU(), 1.0, head=10.0)


def test_a_parameter_frozen_by_hand_needs_a_word():
    model = Net()
    model.layers[0].requires_grad_(False)
    with pytest.raises(UsageError, match=r"off already: layers\.0\.weight, layers\.0\.bias"):
        parameter_groups(model, 1.0)
    groups = parameter_groups(
        model, 1.0, rules=[Rule(where=lambda each: not each.parameter.requires_grad, freeze=True)]
    )
    assert of(groups)["layers.0.bias"].frozen
    groups = parameter_groups(model, 1.0, rules=[Rule("layers.0*", freeze=False)])
    assert model.layers[0].weight.requires_grad
    assert not any(each.frozen for each in groups.decisions)


def test_check_names_what_is_in_no_group_in_two_or_frozen():
    model = Net()
    groups = parameter_groups(model, 1.0, rules=[Rule("emb*", freeze=True)])
    with pytest.raises(UsageError, match=r"in no group: layers.0.weight.* and \d more"):
        groups.check(torch.optim.SGD(model.head.parameters()))
    with pytest.raises(ConflictError, match=r"in two groups: head\.weight, head\.bias"):
        groups.check(torch.optim.SGD(groups), torch.optim.SGD(model.head.parameters()))
    optimizer = torch.optim.SGD(groups)
    name, parameter = "embeddings.weight", model.embeddings.weight
    optimizer.add_param_group({"params": [parameter], "param_names": [name]})
    with pytest.raises(UsageError, match=r"frozen by a rule, yet in a group: embeddings\.weight"):
        groups.check(optimizer)


def test_check_names_groups_made_after_the_scheduler():
    groups = parameter_groups(Net(), 1.0, weight_decay=0.1)
    optimizer = torch.optim.SGD(groups[:-1])
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group(groups[-1])
    with pytest.raises(UsageError, match="was made after the scheduler"):
        groups.check(optimizer)


def test_tied_weights_are_in_one_group_and_meant_under_both_names():
    model = BertForMaskedLM(BertConfig(**TEXT))
    groups = parameter_groups(
        model, 1.0, rules=[Rule("cls.predictions.decoder.weight", scale=0.5)]
    )
    torch.optim.AdamW(groups)
    assert of(groups)["bert.embeddings.word_embeddings.weight"].rate == 0.5
    assert (
        sum(id(model.cls.predictions.decoder.weight) == id(p) for g in groups for p in g["params"])
        == 1
    )


def test_no_decay_for_biases_norms_and_embeddings():
    found = of(parameter_groups(BertModel(BertConfig(**TEXT)), 1.0, weight_decay=0.1))
    plain = {name for name, each in found.items() if each.weight_decay == 0.0}
    assert plain == {n for n in found if "bias" in n or "Norm" in n or "embeddings" in n}


WORKER = """
import os, sys, torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch import nn
from zoo.training import Rule, parameter_groups
rank, port = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
torch.set_num_threads(1)
dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
groups = parameter_groups(model, 0.1, rules=[Rule(depth=[1, 2], freeze=True)])
optimizer, parallel = torch.optim.SGD(groups), DistributedDataParallel(model)
for step in range(3):  # a gradient that is awaited and missing stops the second
    optimizer.zero_grad()
    parallel(torch.ones(5, 3) * (rank + step)).square().sum().backward()
    optimizer.step()
weights = [torch.zeros(2, 4) for _ in range(2)]
dist.all_gather(weights, model[2].weight.detach())
print(torch.equal(*weights), model[0].weight.grad, flush=True)
dist.barrier()
dist.destroy_process_group()
os._exit(0)  # the work is done; gloo's threads sometimes abort an interpreter that is torn down
"""


@pytest.mark.slow
def test_freezing_by_rules_suits_distributed_training(root):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(port)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    assert [each.communicate(timeout=120)[0].strip() for each in workers] == ["True None"] * 2
