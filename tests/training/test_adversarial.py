"""Objectives of several runs: recorded gradients, laws, and the Trainer."""

import json
from contextlib import closing
from functools import cache
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertLMHeadModel,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.conftest import ROOT
from tests.contract.text_subjects import build, of_head, some_ids
from zoo.errors import UsageError
from zoo.training import (
    FGM,
    PGD,
    Free,
    GradientPenalty,
    Objective,
    RDrop,
    VirtualAdversarial,
)
from zoo.training.adversarial.objective import divergence, embedding_weight

FOLDER = ROOT / "tests/fixtures/training/adversarial_fgm"
RECORD = json.loads((FOLDER / "fixture.json").read_text())
NUMBERS = RECORD["hyperparameters"]
ARRAYS = dict(np.load(FOLDER / "adversarial.npz"))
LABELS = torch.tensor(ARRAYS["labels"][:, 0]).long()
# The gap between float32 and float64 here, relative to an array's largest entry, is 2e-5 at most
# (the record itself, made twice); key biases of attention have a gradient of zero up to rounding.
RTOL, ATOL = 1e-4, 1e-6
BLOCK = "bert.encoder.layer.{}."
ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value")
LAYERS = {
    "Embedding-Token": ["bert.embeddings.word_embeddings.weight"],
    "Embedding-Segment": ["bert.embeddings.token_type_embeddings.weight"],
    "Embedding-Position": ["bert.embeddings.position_embeddings.weight"],
    "Embedding-Norm": ["bert.embeddings.LayerNorm.bias", "bert.embeddings.LayerNorm.weight"],
    "HEAD": ["classifier.weight", "classifier.bias"],
}
for i in range(2):
    layer, start = f"Transformer-{i}-", BLOCK.format(i)
    dense = [*ATTENTION, "attention.output.dense"]
    LAYERS[layer + "MultiHeadSelfAttention"] = [
        f"{start}{name}.{kind}" for name in dense for kind in ("weight", "bias")
    ]
    LAYERS[layer + "FeedForward"] = [
        f"{start}{name}.dense.{kind}"
        for name in ("intermediate", "output")
        for kind in ("weight", "bias")
    ]
    for norm, place in (("MultiHeadSelfAttention", "attention.output"), ("FeedForward", "output")):
        LAYERS[f"{layer}{norm}-Norm"] = [
            f"{start}{place}.LayerNorm.{kind}" for kind in ("bias", "weight")
        ]
NAMES = {f"{layer}|{i}": name for layer, names in LAYERS.items() for i, name in enumerate(names)}


def ours(array, name):
    """A recorded matrix the way torch has it: Dense kernels are (in, out)."""
    is_dense = name.endswith("weight") and array.ndim == 2 and "embeddings" not in name
    return torch.tensor(array.T if is_dense else array)


@cache
def recorded_weights():
    """The weights of the fixture, under transformers' names."""
    weights = {}
    with h5py.File(FOLDER / "best_model.weights") as file:
        for layer, names in LAYERS.items():
            group = file["dense" if layer == "HEAD" else layer]
            for name, stored in zip(names, group.attrs["weight_names"], strict=True):
                weights[name] = ours(group[stored][()], name)
    return weights


class FirstToken(nn.Module):
    """In place of a pooler: the head reads the first token as it is."""

    def forward(self, hidden):
        return hidden[:, 0]


def classifier(dtype=torch.float64, **options):
    """The recorded classifier, built from its weights."""
    settings = json.loads((FOLDER / "bert_config.json").read_text())
    config = BertConfig(**settings, num_labels=3, layer_norm_eps=1e-12, **options)
    model = BertForSequenceClassification(config)
    model.bert.pooler = FirstToken()
    model.load_state_dict(recorded_weights(), strict=not options)
    return model.to(dtype).train()


def batch():
    return {
        "input_ids": torch.tensor(ARRAYS["in_token_ids"]).long(),
        "token_type_ids": torch.tensor(ARRAYS["in_segment_ids"]).long(),
        "attention_mask": torch.tensor(ARRAYS["mask"]).long(),
        "labels": LABELS,
    }


def close(found, name):
    expected = torch.tensor(ARRAYS[name], dtype=torch.float64)
    atol = RTOL * expected.abs().max().item() + ATOL
    torch.testing.assert_close(found.detach().double(), expected, rtol=0, atol=atol)


def gradients_are(model, kind):
    found = dict(model.named_parameters())
    assert len(NAMES) == len(found) == len(RECORD["parameters"])
    for key, name in NAMES.items():
        expected = ours(ARRAYS[f"{kind}|{key}"], name).double()
        atol = RTOL * expected.abs().max().item() + ATOL
        torch.testing.assert_close(found[name].grad, expected, rtol=0, atol=atol, msg=key)


@pytest.fixture
def model():
    return classifier()


def test_the_plain_loss_of_the_record(model):
    loss, outputs = Objective().loss(model, batch())
    loss.backward()
    close(loss, "loss")
    close(outputs.logits.softmax(-1), "probs")
    gradients_are(model, "grad")
    close(model.get_input_embeddings().weight.grad, "embedding_gradient")


def test_fgm_gives_the_recorded_gradients(model):
    loss, outputs = FGM(NUMBERS["fgm_epsilon"]).loss(model, batch())
    loss.backward()
    close(loss, "fgm_loss")
    close(outputs.logits.softmax(-1), "fgm_probs")
    gradients_are(model, "fgm_grad")


def test_the_gradient_penalty_gives_the_recorded_gradients(model):
    loss, _ = GradientPenalty(NUMBERS["gp_epsilon"]).loss(model, batch())
    loss.backward()
    close(loss, "gp_loss")
    gradients_are(model, "gp_grad")
    summed = ARRAYS["gp_cross_entropy"] + ARRAYS["gp_term_if_rows_were_summed"] / 2
    assert abs(loss.item() - summed) > 0.01


def test_virtual_adversarial_training_gives_the_recorded_gradients(model):
    method = VirtualAdversarial(NUMBERS["vat_epsilon"], NUMBERS["vat_xi"], NUMBERS["vat_iters"])
    inputs = batch()
    logits = model(**inputs).logits
    close(logits.softmax(-1), "vat_targets")
    noise = torch.tensor(ARRAYS["vat_noise"]).double()
    seen = []

    def run():
        outputs = model(**inputs)
        seen.append(outputs.logits.softmax(-1))
        return outputs

    term = method.smoothness(model, inputs, logits, run, noise)
    term.backward()
    close(term, "vat_loss")
    close(seen[-1], "vat_probs")
    gradients_are(model, "vat_grad")


ATTACKS = {
    "fgm": FGM(0.5),
    "fgm and clean": FGM(0.5, clean=1),
    "pgd": PGD(1.0, 0.3, 3),
    "pgd and clean": PGD(1.0, 0.3, 3, clean=1),
    "virtual": VirtualAdversarial(),
    "penalty": GradientPenalty(),
    "r-drop": RDrop(),
    "free": Free(),
}


def backward(objective, model, inputs):
    """A step of your own loop; the sum of the losses."""
    total = 0
    with closing(objective.passes(model)) as passes:
        for share in passes:
            loss = share * objective.loss(model, inputs)[0]
            loss.backward()
            total += loss.item()
    return total


def bits(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("name", ATTACKS)
def test_no_step_and_no_failure_leaves_a_trace_on_the_weights(model, name, where):
    before, parameters = bits(model), list(model.named_parameters())
    backward(ATTACKS[name], model, batch())

    def fail(*args):
        raise ZeroDivisionError

    def break_down(module, args, output):
        output.register_hook(fail) if where == "backward" else fail()

    model.classifier.register_forward_hook(break_down)
    with pytest.raises(ZeroDivisionError):
        backward(ATTACKS[name], model, batch())
    after = list(model.named_parameters())
    assert all(p is q for (_, p), (_, q) in zip(parameters, after, strict=True))
    assert [n for n, _ in parameters] == [n for n, _ in after]
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules() if isinstance(m, nn.Embedding))


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "r-drop"])
def test_an_attack_makes_the_loss_larger_and_plain_training_does_not(model, name):
    plain = model(**batch()).loss.item()
    assert backward(ATTACKS[name], model, batch()) > plain + 1e-3


def test_fgm_and_its_clean_loss_are_a_sum(model):
    inputs = batch()
    found = []
    for objective in (FGM(0.5), Objective(), FGM(0.5, clean=1)):
        model.zero_grad()
        backward(objective, model, inputs)
        found.append({n: p.grad for n, p in model.named_parameters()})
    adversarial, clean, both = found
    for name, value in both.items():
        torch.testing.assert_close(value, adversarial[name] + clean[name])


def test_pgd_stays_within_its_ball_and_one_step_of_it_is_fgm(model):
    seen = []
    weight = embedding_weight(model)
    lookup = model.get_input_embeddings()
    lookup.register_forward_hook(lambda m, args, out: seen.append(m.weight - weight))
    PGD(0.5, 0.4, 4).loss(model, batch())
    norms = [shift.norm().item() for shift in seen]
    assert norms[:2] == pytest.approx([0, 0.4])
    assert norms[2:] == pytest.approx([0.5] * 3)
    one, fgm = PGD(0.5, 0.5, 1).loss(model, batch()), FGM(0.5).loss(model, batch())
    assert torch.equal(one[0], fgm[0])


def test_free_training_of_one_pass_is_plain_and_of_two_is_half_fgm(model):
    inputs = batch()
    plain, fgm = model(**inputs).loss.item(), FGM(0.5).loss(model, inputs)[0].item()
    assert backward(Free(num_passes=1), model, inputs) == plain
    model.zero_grad()
    assert backward(Free(0.5, 0.5, 2), model, inputs) == pytest.approx((plain + fgm) / 2)
    found = {n: p.grad for n, p in model.named_parameters()}
    model.zero_grad()
    (FGM(0.5, clean=1).loss(model, inputs)[0] / 2).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def test_frozen_embeddings_can_be_attacked_and_stay(model):
    weight = embedding_weight(model).requires_grad_(False)
    for objective in ATTACKS.values():
        backward(objective, model, batch())
    assert weight.grad is None


def test_the_penalty_has_the_derivative_that_differences_give(model):
    method, inputs, eps = GradientPenalty(2.0), batch(), 1e-5
    backward(method, model, inputs)
    for name in ("bert.encoder.layer.1.output.dense.weight", "classifier.bias"):
        parameter = dict(model.named_parameters())[name]
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            parameter.data.add_(direction, alpha=sign * eps)
            values.append(method.loss(model, inputs)[0].item())
            parameter.data.sub_(direction, alpha=sign * eps)
        slope = (parameter.grad * direction).sum().item()
        assert slope == pytest.approx((values[0] - values[1]) / (2 * eps), rel=1e-6)


def test_r_drop_adds_nothing_without_dropout_and_a_divergence_with_it(model):
    inputs = batch()
    assert torch.equal(RDrop(4).loss(model, inputs)[0], model(**inputs).loss)
    noisy = classifier()
    for module in noisy.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    torch.manual_seed(3)
    first, second = (noisy(**inputs) for _ in range(2))
    p, q = (outputs.logits.log_softmax(-1) for outputs in (first, second))
    apart = ((p - q) * (p.exp() - q.exp())).sum(-1).mean()  # both directions at once
    torch.manual_seed(3)
    loss = RDrop(4).loss(noisy, inputs)[0]
    torch.testing.assert_close(loss, (first.loss + second.loss) / 2 + apart)
    assert apart > 1e-3


class Constant(nn.Module):
    """Looks its tokens up and predicts the same whatever they are."""

    config = SimpleNamespace(problem_type=None)

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.logits = nn.Parameter(torch.randn(3))

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, labels):
        logits = self.logits + 0 * self.embedding(input_ids).sum((1, 2))[:, None]
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_a_constant_model_cannot_be_attacked():
    model, inputs = Constant(), {"input_ids": torch.ones(3, 2).long(), "labels": torch.arange(3)}
    loss, outputs = model(**inputs).values()
    for objective in (VirtualAdversarial(), RDrop(), FGM(), PGD(), GradientPenalty()):
        model.zero_grad()
        found, _ = objective.loss(model, inputs)
        torch.testing.assert_close(found, loss)
        found.backward()
        assert not model.embedding.weight.grad.any()
    term = VirtualAdversarial().smoothness(model, inputs, outputs, lambda: model(**inputs))
    assert term.item() == pytest.approx(0, abs=1e-7)


def test_the_divergence_is_that_of_torch_and_counts_what_has_labels():
    p, q = torch.randn(2, 4, 5, 3).double()
    kl = (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1)
    model = Constant()
    torch.testing.assert_close(divergence(model, {}, p, q), kl.mean())
    assert divergence(model, {}, p, p) == 0
    labels = torch.full((4, 5), -100)
    labels[1, 2] = labels[3, 0] = 1
    inputs = {"labels": labels, "attention_mask": torch.ones(4, 5)}
    torch.testing.assert_close(divergence(model, inputs, p, q), (kl[1, 2] + kl[3, 0]) / 2)
    mask = {"labels": torch.zeros(4), "attention_mask": torch.eye(4, 5)}
    torch.testing.assert_close(divergence(model, mask, p, q), kl.diagonal().mean())
    nothing = {"labels": torch.full((4, 5), -100)}
    assert divergence(model, nothing, p, q) == 0
    many = SimpleNamespace(config=SimpleNamespace(problem_type="multi_label_classification"))
    bernoulli = torch.distributions.Bernoulli
    expected = torch.distributions.kl_divergence(bernoulli(logits=p), bernoulli(logits=q))
    torch.testing.assert_close(divergence(many, {}, p, q), expected.sum(-1).mean())


@pytest.mark.parametrize("kind", [GPT2LMHeadModel, BertLMHeadModel, BertForMaskedLM])
def test_of_the_next_token_the_next_label_counts(kind):
    config = kind.config_class(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=4, is_decoder=kind is not BertForMaskedLM,
    )  # fmt: skip
    p, q = torch.randn(2, 2, 4, 9, generator=torch.Generator().manual_seed(1)).unbind()
    labels = torch.tensor([[-100, -100, 3, 4], [-100, 5, -100, -100]])
    kl = (p.softmax(-1) * (p.log_softmax(-1) - q.log_softmax(-1))).sum(-1)
    rows = [(0, 2), (0, 3), (1, 1)] if kind is BertForMaskedLM else [(0, 1), (0, 2), (1, 0)]
    expected = torch.stack([kl[row] for row in rows]).mean()
    found = divergence(kind(config), {"labels": labels}, p, q)
    torch.testing.assert_close(found, expected)


REFUSED = {
    "epsilon is 0": lambda: FGM(0),
    "epsilon is nan": lambda: PGD(float("nan")),
    "step_size is -1": lambda: PGD(1.0, -1),
    "num_steps is 0": lambda: PGD(1.0, 0.3, 0),
    "clean is -0.5": lambda: FGM(0.5, clean=-0.5),
    "num_passes is 1.5": lambda: Free(1.0, 0.3, 1.5),
    "xi is 0": lambda: VirtualAdversarial(xi=0),
    "num_iterations is 0": lambda: VirtualAdversarial(num_iterations=0),
    "alpha is inf": lambda: RDrop(float("inf")),
    "epsilon is -1": lambda: GradientPenalty(-1),
    "Linear has no token embeddings": lambda: FGM().loss(nn.Linear(1, 1), {}),
    "give the model input_ids": lambda: FGM().loss(
        classifier(), {"inputs_embeds": torch.ones(6, 2, 16).double(), "labels": LABELS}
    ),
    "the batch needs labels": lambda: FGM().loss(
        classifier(), {"input_ids": torch.ones(1, 2).long()}
    ),
    "predicts a number": lambda: RDrop().loss(
        classifier(problem_type="regression"), batch() | {"labels": torch.randn(6, 3)}
    ),
    "gives no logits": lambda: RDrop().loss(
        Constant(), {}, lambda: (torch.zeros(()), {"loss": torch.zeros(())})
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_hostile_values_are_refused_by_name(message):
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


@of_head("SequenceClassification")
def test_every_text_model_can_be_trained_so(config, kind, auto):
    """Weights untouched, a gradient in each that has one in plain training."""
    model, ids = build(config, kind, num_labels=3), some_ids()
    inputs = {"input_ids": ids, "labels": torch.tensor([0, 2, 1])}
    model(**inputs).loss.backward()
    before, moved = bits(model), {n for n, p in model.named_parameters() if p.grad is not None}
    for objective in ATTACKS.values():
        model.zero_grad()
        backward(objective, model, inputs)
        assert {n for n, p in model.named_parameters() if p.grad is not None} == moved
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())


def tied(kind, config):
    torch.manual_seed(4)
    return kind(config(vocab_size=30, tie_word_embeddings=True, **SMALL[kind])).double().eval()


SMALL = {
    BertForMaskedLM: {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    },
    T5ForConditionalGeneration: {
        "d_model": 8,
        "d_kv": 4,
        "d_ff": 8,
        "num_layers": 1,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    },
}


@pytest.mark.parametrize(
    ("kind", "config"), [(BertForMaskedLM, BertConfig), (T5ForConditionalGeneration, T5Config)]
)
def test_tied_embeddings_are_perturbed_wherever_they_are(kind, config):
    """As if the matrix itself had been moved: in both stacks, and in the output."""
    model, ids = tied(kind, config), torch.randint(1, 30, (3, 5))
    inputs = {"input_ids": ids, "labels": ids.roll(1, 1)}
    found, _ = FGM(0.5).loss(model, inputs)
    found.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model(**inputs).loss.backward()
    weight = embedding_weight(model)
    weight.data += 0.5 * weight.grad / (weight.grad.norm() + 1e-8)
    model.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    torch.testing.assert_close(found, loss)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, msg=name)
