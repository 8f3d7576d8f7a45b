"""Laws that image models keep besides those of test_models.py."""

import numpy
import pytest
import torch
from transformers import AutoImageProcessor

from tests.contract.subjects import BATCH, OF_IMAGES, images, inputs, represent
from zoo import catalog
from zoo.models import GenaeImageProcessor
from zoo.models.images.annealing import annealed_log_prob

# Those that decode, told from the catalog: the others have promises of their own below.
AUTOENCODERS = {entry.name for entry in catalog.IMAGES if "reconstructs" in entry.can}
autoencoders = pytest.mark.parametrize(
    "entry", [case for case in OF_IMAGES if case[0] in AUTOENCODERS], indirect=True, ids="-".join
)


@pytest.fixture(params=OF_IMAGES, ids="-".join)
def entry(request):
    return catalog.ARCHITECTURES[request.param[0]]


@autoencoders
def test_sampling_and_reconstructing_change_nothing(entry, model, config):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    model.sample(3, seed=0)
    model.reconstruct(images(config))
    assert model.training  # put back as it was
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_auto_class_finds_the_processor(model, config, tmp_path):
    model.save_pretrained(tmp_path)
    GenaeImageProcessor(num_channels=config.num_channels, size=config.image_size).save_pretrained(
        tmp_path
    )
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, GenaeImageProcessor)
    assert processor.output_size == config.image_size


def test_outputs_have_the_promised_shapes(entry, model, config):
    found = model(**inputs(config))
    assert found.loss.shape == ()
    if "scores" in entry.can:
        found = model(**inputs(config), return_loss=False)
        assert found.loss is None
        assert found.log_density.shape == (BATCH,)
        return
    if not hasattr(model, "encode"):
        assert found.logits.shape == (BATCH, config.num_labels)
        assert model.features(images(config)).shape == (BATCH, config.feature_size)
        return
    if "quantizes" in entry.can:
        assert found.codes.shape == (BATCH, *config.grid_shape)
    else:
        assert found.latents.shape == (BATCH, config.latent_size)
    assert model(**inputs(config), return_loss=False).loss is None
    if hasattr(model, "sample"):
        assert found.reconstruction.shape == images(config).shape
        assert 0 <= found.reconstruction.min() <= found.reconstruction.max() <= 1


@autoencoders
def test_samples_have_the_promised_shape_and_range(entry, model, config):
    samples = model.sample(3, seed=0)
    assert samples.shape == (3, *images(config).shape[1:])
    assert samples.dtype == torch.float32
    assert not samples.requires_grad
    assert 0 <= samples.min() <= samples.max() <= 1
    assert torch.equal(samples, model.sample(3, seed=0))
    assert not torch.equal(samples, model.sample(3, seed=1))
    assert model.sample(1, seed=0).shape[0] == 1


@autoencoders
def test_sampling_leaves_the_global_generator_alone(entry, model, config):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    model.sample(2, seed=0)
    assert torch.equal(torch.rand(3), expected)


def wrong_images(config):
    """Images that no model of this config may read, each with what the error must say."""
    channels, size = config.num_channels, config.image_size
    right = images(config)
    yield "taller", torch.zeros(2, channels, size + 4, size), str(size)
    yield "other channels", torch.zeros(2, 4 - channels, size, size), str(channels)
    yield "no batch", right[0], "shape"
    yield "beyond one", right * 255, r"\[0, 1\]"
    yield "below zero", right * 2 - 1, r"\[0, 1\]"
    yield "not a number", right.new_full(right.shape, torch.nan), r"\[0, 1\]"
    yield "bytes", (right * 255).to(torch.uint8), "float"


def test_wrong_images_are_refused_in_words(model, config):
    call = represent(model)
    for name, pixel_values, word in wrong_images(config):
        with pytest.raises(ValueError, match=word):
            call(pixel_values)
        with pytest.raises(ValueError, match="pixel_values"):
            model(pixel_values)
        assert name


def test_images_from_the_processor_go_in(model, config):
    processor = GenaeImageProcessor(num_channels=config.num_channels, size=config.image_size)
    raw = numpy.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=numpy.uint8)
    pixel_values = processor(list(raw))["pixel_values"]
    if getattr(config, "likelihood", None) == "bernoulli":
        pixel_values = pixel_values.round()
    with torch.no_grad():
        found = model(pixel_values, return_loss=False)
    tensors = [value for value in found.values() if torch.is_tensor(value)]
    assert tensors
    assert all(tensor.isfinite().all() for tensor in tensors)
    assert any(len(tensor) == 2 for tensor in tensors if tensor.ndim)


encoders = pytest.mark.parametrize(
    "entry",
    [case for case in OF_IMAGES if "encodes" in catalog.ARCHITECTURES[case[0]].can],
    indirect=True,
    ids="-".join,
)


@encoders
def test_codes_have_a_gradient_only_where_it_is_asked_for(entry, model, config):
    model.eval()
    values = images(config)
    calls = [model.encode, model.encode_sample]
    if getattr(model, "gaussian_posterior", False):
        calls.append(lambda given: model.posterior(given)[1])
    for call in calls:
        assert call(values).numpy().dtype == numpy.float32
        (parameter, *_) = model.encoder.parameters()
        asking = call(values.clone().requires_grad_())
        (gradient,) = torch.autograd.grad(asking.square().sum(), parameter)
        assert gradient.any()
        model.train()
        assert call(values).requires_grad
        with torch.no_grad():
            assert not call(values).requires_grad
        model.eval()
    assert torch.is_grad_enabled()
    if hasattr(model, "decode"):
        codes = model.encode(values)
        assert model.decode(codes).numpy().shape == values.shape
        assert model.decode(codes.requires_grad_()).requires_grad
    if model.min_batch_size == 1:
        assert model(values).loss.requires_grad  # a loss always has one


@encoders
def test_models_in_half_precision_read_images_in_single(entry, model, config):
    """And answer in single precision what the same weights say in it, within their rounding."""
    model.eval().bfloat16()
    values = images(config)

    def answers():
        torch.manual_seed(0)
        found = {"codes": model.encode(values), "of doubles": model.encode(values.double())}
        if hasattr(model, "log_prob") and "bounds" not in model.cannot:
            found["log_prob"] = model.log_prob(values, 8, seed=0)
        if hasattr(model, "decode"):
            found["images"] = model.decode(torch.ones(2, config.latent_size))
            found["reconstruction_loss"] = model(values).reconstruction_loss
        return found

    half = answers()
    model.float()
    for name, expected in answers().items():
        assert half[name].dtype == torch.float32, name
        error = (half[name] - expected).abs().max()
        assert error < 0.03 * (1 + expected.abs().max()), name


@encoders
def test_grey_images_have_no_probability_under_a_bernoulli(entry, model, config):
    if getattr(config, "likelihood", "") != "bernoulli" or not hasattr(model, "log_prob"):
        return
    calls = [model.log_prob, model.elbo, model.estimate]
    if model.standard_prior:
        calls.append(
            lambda given: annealed_log_prob(model, given, num_temperatures=1, num_chains=1)
        )
    values = images(config)
    values[1, 0, 0, 0] = 0.5
    for call in calls:
        with pytest.raises(ValueError, match=r"1 of 6 images are grey.*binarize"):
            call(values)
    assert model(values).loss.isfinite()  # training may well ask for it
