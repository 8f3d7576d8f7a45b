"""Activations are what bert4keras and Keras 2 define under their names, wherever they end up."""

import json
import math

import numpy as np
import pytest
import torch

import convert
from convert.families.activations import (
    ACTIVATIONS,
    ALIASES,
    BEYOND,
    KNOWN,
    OWN_ACTIVATIONS,
    WEIGHTED,
    function_of,
)
from convert.families.base import Settings
from tests.conversion.records import LEGACY
from zoo.errors import UsageError
from zoo.models.text.activations import OWN, activation

ERF = np.vectorize(math.erf)
#: Definitions, by the name in Keras or bert4keras.
DEFINED = {
    "gelu_erf": lambda x: 0.5 * x * (1 + ERF(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "linear": lambda x: x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: (
        1.0507009873554804934 * np.where(x > 0, x, 1.6732632423543772848 * (np.exp(x) - 1))
    ),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
}
every_name = pytest.mark.parametrize("name", DEFINED)
VALUES = np.linspace(-9, 9, 72).reshape(4, 18)


def test_every_name_is_defined_here_and_both_tables_agree():
    assert set(DEFINED) == {*ACTIVATIONS, *OWN_ACTIVATIONS}
    assert set(OWN) == set(OWN_ACTIVATIONS)


@every_name
def test_the_value_is_the_defined_one(name):
    found = activation(ACTIVATIONS.get(name, name))(torch.from_numpy(VALUES)).numpy()
    np.testing.assert_allclose(found, DEFINED[name](VALUES), rtol=1e-9, atol=1e-9)


@every_name
def test_what_is_left_to_transformers_is_the_same_there(name):
    from transformers.activations import ACT2FN

    if name in ACTIVATIONS:
        theirs = ACT2FN[ACTIVATIONS[name]](torch.from_numpy(VALUES)).numpy()
        np.testing.assert_allclose(theirs, DEFINED[name](VALUES), rtol=1e-9, atol=1e-9)


def bring_over(tmp_path, name, **told):
    source = LEGACY / name / "bert_model.ckpt"
    return convert.convert_checkpoint(source, tmp_path / "out", options=told)


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, "feed_forward") for name in DEFINED]
    + [(name, "pooler") for name in ("linear", "gelu_tanh", "leaky_relu", "softmax")],
)
def test_a_converted_model_computes_it(name, place, tmp_path):
    """By the model's own dense map: what goes into the activation, and what comes out."""
    option = "hidden_act" if place == "feed_forward" else "with_pool"
    report = bring_over(
        tmp_path, "bert_full", **{option: name, "with_mlm": False, "with_nsp": False}
    )
    import transformers

    import zoo.models

    home = zoo.models if report.architecture.startswith("Genae") else transformers
    model = getattr(home, report.architecture).from_pretrained(tmp_path / "out").eval()
    ours = name in OWN_ACTIVATIONS if place == "feed_forward" else name != "tanh"
    assert report.architecture == ("GenaeBertModel" if ours else "BertModel")
    part = model.encoder.layer[1].intermediate if place == "feed_forward" else model.pooler
    caught = {}
    part.dense.register_forward_hook(lambda module, args, output: caught.update(dense=output))
    part.register_forward_hook(lambda module, args, output: caught.update(act=output))
    with torch.no_grad():
        model(torch.tensor([[2, 7, 9, 3]]))
    dense, act = (caught[key].double().numpy() for key in ("dense", "act"))
    np.testing.assert_allclose(act, DEFINED[name](dense), rtol=1e-5, atol=1e-6)


def test_every_name_of_transformers_is_taken_for_the_function_that_it_is_there():
    """Numbers decide: a name means what transformers computes by it, or Keras 2 and bert4keras."""
    from transformers.activations import ACT2CLS, ACT2FN

    values = torch.cat([torch.linspace(-15, 15, 601), torch.tensor([-0.5, 0.5])]).double()
    assert {*ACT2CLS} <= {"gelu", *KNOWN, *WEIGHTED}
    for name in {*ACT2CLS} - {*WEIGHTED, *OWN_ACTIVATIONS}:
        found = activation(function_of(name, "erf"))(values)
        torch.testing.assert_close(found, ACT2FN[name](values), rtol=1e-6, atol=1e-6, msg=name)
    for name in WEIGHTED:
        with pytest.raises(UsageError, match="weights of its own"):
            function_of(name, "erf")


def test_two_functions_never_share_a_name():
    """Both forms of gelu and the clipped one differ, and so does whatever is not an alias."""
    values = torch.linspace(-15, 15, 601).double()
    computed = {name: activation(name)(values) for name in {*KNOWN.values()}}
    for one, first in computed.items():
        for other, second in computed.items():
            assert one == other or (first - second).abs().max() > 1e-5, (one, other)
    assert {*ALIASES.values()} == {"gelu", "gelu_pytorch_tanh"}
    assert {*BEYOND}.isdisjoint(ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        *(("GELU", "gelu"), ("Gelu", "gelu"), ("ReLU", "relu"), ("SiLU", "silu")),
        *(("gelu_fast", "gelu_pytorch_tanh"), ("gelu_new", "gelu_pytorch_tanh")),
        *(("gelu-new", "gelu_pytorch_tanh"), ("gelu_python", "gelu"), ("mish", "mish")),
        *(("quick_gelu", "quick_gelu"), ("gelu_10", "gelu_10"), ("hard_silu", "hardswish")),
    ],
)
def test_names_of_other_libraries_and_other_cases_are_understood(name, function, tmp_path):
    report = bring_over(tmp_path, "bert_gelu_tanh", hidden_act=name)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert (report.architecture, config["hidden_act"]) == ("BertForMaskedLM", function)


@pytest.mark.parametrize("name", ["gelu_nwe", "snake", "geluu", ["gelu", "linear"], None, 3, ""])
def test_unknown_names_are_refused_and_no_function_is_guessed(name, tmp_path):
    with pytest.raises(UsageError, match="no activation") as caught:
        bring_over(tmp_path, "bert_full", hidden_act=name)
    assert "Did you mean" not in str(caught.value)
    assert "hidden_act=NAME" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["gelu_new", "gelu_fast", "GELU", "gelu_pytorch_tanh"])
def test_gated_t5_of_google_takes_the_tanh_form_under_every_name(name, tmp_path):
    bring_over(tmp_path, "t5_v1_1", hidden_act=[name, "linear"], semantics="google")
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["feed_forward_proj"] == "gated-gelu"


@pytest.mark.parametrize("name", ["gelu_erf", "gelu_python"])
def test_gated_t5_of_google_has_no_erf_form_under_any_name(name, tmp_path):
    with pytest.raises(UsageError, match="semantics=bert4keras"):
        bring_over(tmp_path, "t5_v1_1", hidden_act=[name, "linear"], semantics="google")


def test_what_bert4keras_lacks_does_not_go_back(tmp_path):
    bring_over(tmp_path, "bert_full", hidden_act="mish")
    with pytest.raises(UsageError, match="no activation 'mish'"):
        convert.export_checkpoint(tmp_path / "out", tmp_path / "back", to="tf-checkpoint")


@pytest.mark.parametrize("name", ["leaky_relu", "softsign"])
def test_what_is_ours_and_bert4keras_s_goes_back(name, tmp_path):
    bring_over(tmp_path, "bert_full", hidden_act=name)
    convert.export_checkpoint(tmp_path / "out", tmp_path / "back", to="tf-checkpoint")
    config = json.loads((tmp_path / "back/bert_config.json").read_text("utf-8"))
    assert config["hidden_act"] == name


def test_the_t5_of_transformers_has_none_of_ours(tmp_path):
    with pytest.raises(UsageError, match="semantics=bert4keras"):
        bring_over(tmp_path, "t5", hidden_act="leaky_relu", semantics="google")
    report = bring_over(tmp_path, "t5", hidden_act="leaky_relu", semantics="bert4keras")
    assert report.architecture == "GenaeT5ForConditionalGeneration"


def test_a_condition_has_the_gelu_that_was_told():
    told = {"gelu": "tanh", "layer_norm_cond_hidden_act": "gelu"}
    assert Settings({}, told).condition_act == "gelu_pytorch_tanh"
    assert Settings({}, told | {"layer_norm_cond_hidden_act": None}).condition_act is None
