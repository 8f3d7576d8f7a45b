"""Autoencoders whose networks are graphs of layers."""

import copy

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from torch.nn import functional as F

from tests.tiny import AS_GRAPHS, CODE, DECODER, ENCODER, TWO_HEADS, dense, graph, weighing
from zoo.models import AEConfig, AEModel, EAEConfig, EAEModel, IWAEConfig, VAEConfig, VAEModel

CONVOLUTION = {
    "strides": [2, 2], "dilation_rate": [1, 1], "padding": "same", "channels_first": False,
    "activation": None, "groups": 1,
}  # fmt: skip
#: A strided convolution with SAME padding, a batch norm, and a dense layer on both.
CONVOLUTIONAL = graph(
    [[8, 8, 3]],
    ("conv", [0], weighing("conv", {"weight": [2, 3, 3, 3], "bias": [2]}, **CONVOLUTION)),
    ("norm", [1], weighing("batch_norm", {"scale": [2], "offset": [2]}, axis=3, epsilon=1e-3)
     | {"statistics": {"mean": [2], "variance": [2]}}),
    ("flatten", [2], {"kind": "flatten", "channels_first": False}),
    ("mean", [3], dense(32, 4, "linear")),
    outputs=[4],
)  # fmt: skip
COLOURED = CODE | {
    "network": "layers",
    "image_size": 8,
    "num_channels": 3,
    "encoder_layers": CONVOLUTIONAL,
    "decoder_layers": graph([[4]], ("pixels", [0], dense(4, 192, "linear")), outputs=[1]),
    "pixel_range": [-1.0, 1.0],
    "output_activation": "tanh",
}


def test_images_go_in_with_their_channels_last_and_in_the_originals_range():
    model = AEModel(AEConfig(**COLOURED)).eval()
    images = torch.rand(3, 3, 8, 8)
    weights = dict(model.encoder.layers["conv"].named_parameters())
    # SAME of an even size at stride 2: nothing before, one after.
    x = F.conv2d(F.pad(2 * images - 1, (0, 1, 0, 1)), **weights, stride=2) / 1.001**0.5
    flat = x.permute(0, 2, 3, 1).flatten(1)
    expected = F.linear(flat, **dict(model.encoder.layers["mean"].named_parameters()))
    torch.testing.assert_close(model.encode(images), expected)
    codes = torch.randn(2, 4)
    linear = F.linear(codes, **dict(model.decoder.layers["pixels"].named_parameters()))
    pixels = linear.tanh().reshape(2, 8, 8, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(model.decode(codes), 0.5 * (pixels + 1))


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (0.0, 255.0)])
def test_a_linear_output_comes_back_to_the_range_of_pixels(low, high):
    given = {"pixel_range": [low, high], "output_activation": "linear"}
    model = AEModel(AEConfig(**AS_GRAPHS | given)).eval()
    codes = torch.randn(2, 4)
    layers = model.decoder.layers
    hidden = F.linear(codes, **dict(layers["hidden"].named_parameters())).tanh()
    values = F.linear(hidden, **dict(layers["pixels"].named_parameters()))
    expected = ((values - low) / (high - low)).clamp(0, 1).reshape(2, 1, 5, 5)
    torch.testing.assert_close(model.decode(codes), expected)


def test_the_two_outputs_of_an_encoder_are_means_and_log_variances():
    model = VAEModel(VAEConfig(**AS_GRAPHS | TWO_HEADS)).eval()
    images = torch.rand(3, 1, 5, 5)
    layers = model.encoder.layers
    hidden = F.linear(images.flatten(1), **dict(layers["hidden"].named_parameters())).tanh()
    mean, log_var = model.posterior(images)
    for name, found in (("mean", mean), ("spread", log_var)):
        expected = F.linear(hidden, **dict(layers[name].named_parameters()))
        torch.testing.assert_close(found, expected)


def test_training_normalises_batches_by_their_own_statistics_and_moves_the_stored_ones():
    model = AEModel(AEConfig(**COLOURED))
    images, norm = torch.rand(16, 3, 8, 8), model.encoder.layers["norm"]
    conv = dict(model.encoder.layers["conv"].named_parameters())
    x = F.conv2d(F.pad(2 * images - 1, (0, 1, 0, 1)), **conv, stride=2)
    model.train()
    codes = model.encode(images)
    centred = x - x.mean((0, 2, 3), keepdim=True)
    normed = centred / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-3).sqrt()
    dense = dict(model.encoder.layers["mean"].named_parameters())
    expected = F.linear(normed.permute(0, 2, 3, 1).flatten(1), **dense)
    torch.testing.assert_close(codes, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.mean, 0.01 * x.mean((0, 2, 3)).detach())


def test_a_part_alone_does_what_it_can_and_says_what_it_cannot(tmp_path):
    images, codes = torch.rand(2, 1, 5, 5), torch.randn(2, 4)
    encoder = EAEModel(EAEConfig(**AS_GRAPHS | {"decoder_layers": None}))
    encoder.save_pretrained(tmp_path)
    encoder = EAEModel.from_pretrained(tmp_path).eval()
    assert encoder.encode(images).shape == (2, 4)
    for call in (lambda: encoder.decode(codes), lambda: encoder.sample(2, seed=0)):
        with pytest.raises(ValueError, match="no decoder: it was made of the encoder alone"):
            call()
    decoder = VAEModel(VAEConfig(**AS_GRAPHS | {"encoder_layers": None})).eval()
    assert decoder.sample(2, seed=0).shape == (2, 1, 5, 5)
    for call in (decoder.encode, decoder.posterior, decoder):
        with pytest.raises(ValueError, match="no encoder: it was made of the decoder alone"):
            call(images)


def test_an_encoder_without_variances_gives_codes_alone():
    model = VAEModel(VAEConfig(**AS_GRAPHS)).eval()
    images = torch.rand(2, 1, 5, 5)
    assert model.encode(images).shape == (2, 4)
    assert model.reconstruct(images).shape == images.shape
    for call in (model.posterior, model.encode_sample, model, model.log_prob):
        with pytest.raises(ValueError, match="means alone"):
            call(images)


BROKEN = copy.deepcopy(AS_GRAPHS["encoder_layers"])
BROKEN["nodes"][0]["inputs"] = [7]
TWO_INPUTS = copy.deepcopy(AS_GRAPHS["encoder_layers"])
TWO_INPUTS["inputs"].append({"name": "more", "tensor": 9, "shape": [None, 1]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoder_layers": None, "decoder_layers": None}, "needs encoder_layers or decoder"),
        ({"encoder_layers": BROKEN}, "encoder_layers.nodes"),
        ({"encoder_layers": {"layers": {}, "nodes": [3]}}, "encoder_layers.nodes.0. is no table"),
        ({"encoder_layers": TWO_INPUTS}, "one input"),
        ({"pixel_range": [1.0, -1.0]}, "black below white"),
        ({"pixel_range": [-1.0, 1.0]}, "makes pixels of 0 to 1"),
        ({"output_activation": "softmax"}, "sigmoid, tanh, linear"),
        ({"likelihood": "beta_binomial"}, "gaussian"),
        ({"scale": "learned"}, "one number a channel"),
        ({"network": "dense"}, "leave it out"),
    ],
)  # fmt: skip
def test_settings_that_fit_no_network_of_layers_are_refused(given, said):
    with pytest.raises(StrictDataclassClassValidationError, match=said):
        AEConfig(**AS_GRAPHS | given)


def test_graphs_that_make_other_shapes_are_refused():
    narrow = graph([[25]], ENCODER[0], ("mean", [1], dense(8, 3)), outputs=[2])
    short = graph([[4]], DECODER[0], ("pixels", [1], dense(8, 24)), outputs=[2])
    for given in ({"encoder_layers": narrow}, {"decoder_layers": short}):
        with pytest.raises(ValueError, match="_layers must be a graph that makes"):
            AEModel(AEConfig(**AS_GRAPHS | given))


def test_several_stochastic_layers_have_no_graph():
    with pytest.raises(StrictDataclassClassValidationError, match="not of this model"):
        IWAEConfig(**AS_GRAPHS | {"likelihood": "bernoulli"})
