"""What layers compute is what Keras recorded, in float32 and in float64."""

import json
import math
import re

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from convert.layers.activations import LAYERS, NAMES
from convert.layers.kinds import KINDS
from convert.layers.weights import RESERVED, module_names
from tests.conversion.keras_files import KERAS, SHARED, cases
from tests.conversion.layer_models import check, inputs, load, recorded
from zoo.models.images.configuration_layers import LayersConfig
from zoo.models.images.layer_activations import ACTIVATIONS, apply_activation
from zoo.models.images.layer_convolutions import conv_transpose
from zoo.models.images.layer_graph import LayerGraph
from zoo.models.images.layer_kinds import COMPUTATIONS
from zoo.models.images.modeling_layers import LayersModel

FOLDERS = ("keras_layers", "keras_models", "keras_era")


@pytest.mark.parametrize("path", cases(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_outputs_are_the_recorded_ones(path):
    check(path)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_recorded_file(folder):
    found = cases(SHARED / folder)
    assert len(found) > 60
    for path in found:
        check(path)


def test_every_kind_and_every_activation_is_computed():
    assert {kind.compute for kind in KINDS.values()} <= COMPUTATIONS.keys()
    names = {one["name"] for one in NAMES.values()} | {
        make(dict.fromkeys(keys, None))["name"] for keys, make in LAYERS.values()
    }
    assert names | {"hard_sigmoid", "relu"} == ACTIVATIONS.keys()
    x = torch.linspace(-3, 3, 8)
    for activation in NAMES.values():
        assert apply_activation(x, activation).isfinite().all()


def test_a_model_comes_back_from_its_folder(tmp_path):
    path = KERAS / "nested_two_deep/model.h5"
    _, model = load(path)
    model.save_pretrained(tmp_path)
    again = LayersModel.from_pretrained(tmp_path)
    given = inputs(recorded(path))
    one, other = model(*given).outputs[0], again(*given).outputs[0]
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    names = [record["name"] for record in again.config.layers.values()]
    assert "sequential/model/batch_normalization" in names


def test_images_may_have_their_channels_first():
    path = KERAS / "conv2d_same_s2/model.h5"
    _, model = load(path)
    given = inputs(recorded(path))
    plain = model(*given).outputs[0]
    model.config.channels_last = False
    first = model(*(x.movedim(-1, 1) for x in given)).outputs[0]
    torch.testing.assert_close(first.movedim(1, -1), plain)
    wanted = re.escape(f"the model takes (any, {given[0].shape[-1]}, ")
    with pytest.raises(ValueError, match=wanted):
        model(*given)


def test_no_layer_has_a_name_that_a_module_has_itself():
    own = {name for name in dir(LayerGraph({})) if not name.startswith("_")}
    assert own <= RESERVED
    names = module_names(["keys", "train", "layer_keys", "_modules", "."])
    modules = torch.nn.ModuleDict({name: torch.nn.Identity() for name in names.values()})
    assert len(modules) == 5


def test_inputs_go_by_place_number_or_name():
    path = KERAS / "mha/model.h5"
    _, model = load(path)
    one, other = inputs(recorded(path))
    plain = model(one, other).outputs
    for outputs in (model(one, in1=other).outputs, model(input_2=other, input_1=one).outputs):
        assert all(torch.equal(a, b) for a, b in zip(plain, outputs, strict=True))
    for wrong in ({}, {"nobody": other}):
        with pytest.raises(ValueError, match="inputs"):
            model(one, **wrong)


def test_a_new_model_has_gradients_everywhere():
    _, model = load(KERAS / "lstm_options/model.h5")
    fresh = LayersModel(model.config)
    outputs = fresh(*inputs(recorded(KERAS / "lstm_options/model.h5"))).outputs
    sum(one.square().sum() for one in outputs).backward()
    assert all(one.grad is not None and one.isfinite().all() for one in fresh.parameters())


def test_a_transposed_convolution_is_the_adjoint_of_a_convolution():
    """Of a size that the stride divides, <conv(x), y> = <x, conv_transpose(y)>."""
    chance = np.random.default_rng(3)
    for kernel, stride in ((2, 3), (3, 2), (4, 2), (5, 3)):
        size = 6 * stride
        weight = torch.from_numpy(chance.normal(size=(2, 3, kernel)))
        x = torch.from_numpy(chance.normal(size=(1, size, 3)))
        y = torch.from_numpy(chance.normal(size=(1, 6, 2)))
        options = {
            "strides": [stride],
            "dilation_rate": [1],
            "padding": "same",
            "output_padding": None,
            "activation": None,
            "channels_first": False,
        }
        back = conv_transpose({"weight": weight}, options, y)
        there = COMPUTATIONS["conv"]({"weight": weight}, options, x)
        assert there.shape == y.shape
        assert math.isclose(float((there * y).sum()), float((x * back).sum()), rel_tol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": {"a": {"kind": "nothing"}}},
        {"layers": {"a": {"kind": "dense", "weights": {"weight": [2**30, 2**30]}}}},
        {"layers": {"a": {"kind": "dense", "weights": {"weight": [-1]}}}},
        {"nodes": [{"layer": "nobody", "inputs": [0], "outputs": [1]}]},
        {"nodes": [{"layer": "a", "inputs": [7], "outputs": [1]}]},
        {"outputs": [9]},
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change):
    plain = {
        "layers": {"a": {"kind": "identity"}},
        "nodes": [{"layer": "a", "inputs": [0], "outputs": [1]}],
        "inputs": [{"name": "x", "tensor": 0, "shape": [None, 2]}],
        "outputs": [1],
    }
    model = LayersModel(LayersConfig(**json.loads(json.dumps(plain))))
    x = torch.ones(3, 2)
    assert torch.equal(model(x).outputs[0], x)
    with pytest.raises(StrictDataclassClassValidationError, match=r"layers|node|outputs"):
        LayersConfig(**plain | change)


def test_halves_of_an_autoencoder_are_what_the_whole_is_made_of():
    path = KERAS / "keras_2_12_autoencoder/model_v3.keras"
    _, model = load(path)
    assert {model.config.encoder, model.config.decoder} <= {*model.config.parts}
    (x,) = inputs(recorded(path))
    codes = model.encode(x)
    torch.testing.assert_close(model.decode(codes), model(x).outputs[0], rtol=0, atol=0)
    torch.testing.assert_close(model.part(model.config.encoder)(x), codes, rtol=0, atol=0)
    with pytest.raises(ValueError, match="is no part of this model; its parts: "):
        model.part("nobody")
    with pytest.raises(ValueError, match="2 tensors, and 1 go in"):
        model.decode(codes, codes)


def test_a_model_without_halves_says_so():
    _, model = load(KERAS / "names/model.h5")
    for call in (model.encode, model.decode):
        with pytest.raises(ValueError, match=r"this model has no (en|de)coder: .* no parts"):
            call(torch.zeros(1))
