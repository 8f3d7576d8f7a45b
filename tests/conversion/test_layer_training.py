"""What a file says of training arrives: rates, shared decisions, momentum, what is frozen."""

import pytest
import torch

from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.settings import graph
from convert.layers.text import Source
from tests.conversion.keras_files import KERAS, SHARED
from tests.conversion.layer_models import inputs, load, recorded
from zoo import LayersConfig, LayersModel


def record(kind, shape, **options):
    """What becomes of one layer behind an input of this shape."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": shape}},
        {"class_name": kind, "config": {"name": "layer", **options}},
    ]
    table = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    network = build(parse(Source(table, "2.15.0", "m")))
    return graph(network) if not network.problems else network.problems[0]


IMAGE = [None, 6, 5, 4]
TOLD = [
    ("Dropout", IMAGE, {"rate": 0.25, "noise_shape": None}, "dropout", {"rate": 0.25}),
    ("Dropout", IMAGE, {"p": 0.25}, "dropout", {"rate": 0.25}),
    ("Dropout", IMAGE, {"rate": 0.5, "noise_shape": [None, 1, 1, 4]}, "dropout",
     {"rate": 0.5, "shared_axes": [1, 2]}),
    ("SpatialDropout1D", [None, 6, 4], {"rate": 0.5}, "dropout",
     {"rate": 0.5, "shared_axes": [1]}),
    ("SpatialDropout2D", IMAGE, {"rate": 0.5}, "dropout", {"rate": 0.5, "shared_axes": [1, 2]}),
    ("SpatialDropout2D", IMAGE, {"rate": 0.5, "data_format": "channels_first"}, "dropout",
     {"rate": 0.5, "shared_axes": [2, 3]}),
    ("SpatialDropout3D", [None, 3, *IMAGE[1:]], {"rate": 0.5}, "dropout",
     {"rate": 0.5, "shared_axes": [1, 2, 3]}),
    ("AlphaDropout", IMAGE, {"rate": 0.1}, "alpha_dropout", {"rate": 0.1}),
    ("GaussianDropout", IMAGE, {"rate": 0.1}, "gaussian_dropout", {"rate": 0.1}),
    ("GaussianNoise", IMAGE, {"stddev": 0.1}, "gaussian_noise", {"stddev": 0.1}),
    ("GaussianNoise", IMAGE, {"sigma": 0.1}, "gaussian_noise", {"stddev": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "shape", "options", "compute", "wanted"), TOLD)
def test_noise_of_training_arrives_with_its_numbers(kind, shape, options, compute, wanted):
    table = record(kind, shape, **options)
    found = dict(table["layers"]["layer"])
    assert (found.pop("kind"), found.pop("name")) == (compute, "layer")
    assert found == wanted
    x = torch.randn(3, *shape[1:])
    model = LayersModel(LayersConfig(**table))
    assert not torch.equal(model.train()(x).outputs[0], x)
    assert torch.equal(model.eval()(x).outputs[0], x)


@pytest.mark.parametrize("rate", [1.1, -0.1, "half", None, float("nan"), True])
def test_a_rate_that_is_none_is_refused(rate):
    assert "option rate is" in str(record("Dropout", IMAGE, rate=rate))


@pytest.mark.parametrize("kind", ["Dropout", "GaussianDropout"])
def test_a_rate_of_one_is_what_it_is_in_keras(kind):
    x = torch.randn(3, *IMAGE[1:])
    model = LayersModel(LayersConfig(**record(kind, IMAGE, rate=1))).train()
    wanted = torch.zeros_like(x) if kind == "Dropout" else x
    assert torch.equal(model(x).outputs[0].abs(), wanted.abs())


@pytest.mark.parametrize("trainable", [True, False])
def test_statistics_of_a_frozen_layer_stay_statistics(trainable):
    options = {"axis": [3], "momentum": 0.9, "epsilon": 1e-3, "trainable": trainable}
    table = record("BatchNormalization", IMAGE, **options)
    found = table["layers"]["layer"]
    assert (set(found["weights"]), set(found["statistics"])) == (
        {"scale", "offset"}, {"mean", "variance"},
    )  # fmt: skip
    assert found.get("frozen", False) is not trainable
    model = LayersModel(LayersConfig(**table)).train()
    model(torch.randn(9, 6, 5, 4) + 1)
    moved = bool(model.layers["layer"].tensors()["mean"].any())
    assert moved is trainable


def test_training_moves_on_what_a_file_has_and_use_leaves_it():
    path = KERAS / "nested_two_deep/model.h5"
    _, model = load(path)
    given = inputs(recorded(path))
    before = {name: value.clone() for name, value in model.named_buffers()}
    used = model(*given).outputs[0]
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model.train()(*given).outputs[0].square().sum().backward()
    assert not any(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert all(one.grad is not None for one in model.parameters())
    model.load_state_dict(before, strict=False)
    assert torch.equal(model.eval()(*given).outputs[0], used)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded Keras files")
def test_a_recorded_model_with_dropout_is_random_in_training_alone():
    path = SHARED / "keras_models/unet/model.h5"
    _, model = load(path)
    given = inputs(recorded(path))
    with torch.no_grad():
        assert torch.equal(model(*given).outputs[0], model(*given).outputs[0])
        model.train()
        assert not torch.equal(model(*given).outputs[0], model(*given).outputs[0])
