"""Laws that every architecture of the catalog keeps, in every variant of tests/tiny.py."""

import dataclasses
import json
import warnings

import pytest
import torch
from transformers import AutoConfig, AutoImageProcessor

from tests.tiny import TINY
from zoo import catalog
from zoo.models import GenaeImageProcessor

VARIANTS = [(name, variant) for name, variants in TINY.items() for variant in variants]
# Those that decode, told from the catalog: the others have promises of their own below.
AUTOENCODERS = {entry.name for entry in catalog.IMAGES if "reconstructs" in entry.can}
BATCH = 6

autoencoders = pytest.mark.parametrize(
    "entry", [case for case in VARIANTS if case[0] in AUTOENCODERS], indirect=True, ids="-".join
)


@pytest.fixture(params=VARIANTS, ids="-".join)
def entry(request):
    """The catalog's row; `entry`, `config` and `model` of one test belong together."""
    return catalog.ARCHITECTURES[request.param[0]]


@pytest.fixture
def config(request, entry, tiny_config):
    return tiny_config(*request.node.callspec.params["entry"])


@pytest.fixture
def model(entry, config):
    """A model in eval mode whose every tensor differs from its initial value, as if trained."""
    model = catalog.load(entry.model)(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not name.startswith("samplers"):
                # Positive everywhere, because some of these are variances.
                tensor += 0.02 * torch.rand(tensor.shape, generator=generator)
    return model


def pictures(config, batch=BATCH, seed=2):
    """Two-valued pictures, which every likelihood accepts."""
    shape = (batch, config.num_channels, config.image_size, config.image_size)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).round()


def inputs(config, batch=BATCH):
    """What the model's forward needs for a loss."""
    given = {"pixel_values": pictures(config, batch)}
    if catalog.find_config(config.model_type).auto == "AutoModelForImageClassification":
        given["labels"] = torch.arange(batch) % config.num_labels
    return given


def outputs(model, config):
    """What a deterministic call of the model gives, as one tensor per name."""
    torch.manual_seed(3)  # a VAE's forward draws from the posterior
    with torch.no_grad():
        found = model(**inputs(config))
    return {name: value for name, value in found.items() if torch.is_tensor(value)}


def is_autoencoder(model):
    return hasattr(model, "sample")


def represent(model):
    """The call that turns pictures into vectors: the code, or a classifier's features."""
    return model.encode if hasattr(model, "encode") else model.features


def test_every_architecture_has_tiny_configs():
    assert set(TINY) == {entry.name for entry in catalog.IMAGES}


@pytest.mark.parametrize(("architecture", "variant"), VARIANTS)
def test_a_config_holds_what_it_was_given(architecture, variant, tiny_config):
    config = tiny_config(architecture, variant)
    # Configs keep unknown keys silently, so a typing error would go unnoticed here.
    known = {field.name for field in dataclasses.fields(config)} | {"num_labels"}
    given = TINY[architecture][variant]
    assert set(given) <= known
    assert {name: getattr(config, name) for name in given} == given


def test_every_parameter_receives_a_gradient(model, config):
    model.train()
    model(**inputs(config)).loss.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_step_down_the_gradient_lowers_the_loss(model, config):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def loss():
        torch.manual_seed(3)
        model.load_state_dict(buffers, strict=False)  # a warm-up counts its training passes
        return model(**inputs(config)).loss

    model.train()
    before = loss()
    gradients = torch.autograd.grad(before, list(model.parameters()))
    norm = torch.stack([g.norm() for g in gradients]).norm()
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= 1e-3 * gradient / norm
    assert loss() < before


def test_saved_and_loaded_weights_are_exact_and_outputs_close(entry, model, config, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = catalog.load(entry.model).from_pretrained(tmp_path)
    assert not loaded.training
    expected, found = model.state_dict(), loaded.state_dict()
    assert list(expected) == list(found)
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name
    for name, value in outputs(model, config).items():
        # Loaded tensors are unaligned in the mapped file and may take other kernels.
        torch.testing.assert_close(outputs(loaded, config)[name], value, rtol=1e-5, atol=1e-5)


def test_fresh_and_reloaded_buffers_are_equal(entry, config, tmp_path):
    fresh = catalog.load(entry.model)(config)
    fresh.save_pretrained(tmp_path)
    reloaded = catalog.load(entry.model).from_pretrained(tmp_path)
    expected, found = dict(fresh.named_buffers()), dict(reloaded.named_buffers())
    assert list(expected) == list(found)
    for name, buffer in expected.items():
        assert torch.equal(buffer, found[name]), name


def test_weights_that_a_file_lacks_start_as_in_a_fresh_model(entry, config, tmp_path):
    # An empty file: everything, buffers included, must be initialised rather than left unset.
    from safetensors.torch import save_file

    config.save_pretrained(tmp_path)
    save_file({}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(5)
    loaded = catalog.load(entry.model).from_pretrained(tmp_path)
    fresh = catalog.load(entry.model)(config)
    for name, buffer in fresh.named_buffers():
        assert torch.equal(buffer, dict(loaded.named_buffers())[name]), name
    for (name, parameter), other in zip(
        fresh.named_parameters(), loaded.parameters(), strict=True
    ):
        assert other.isfinite().all(), name
        # Drawn from one distribution: equal spread, whatever the draw.
        if parameter.numel() >= 64 and parameter.std() > 0:
            assert 0.6 < other.std() / parameter.std() < 1.6, name
        elif parameter.std(correction=0) == 0:
            assert torch.equal(parameter, other), name


def test_saving_a_loaded_model_again_is_byte_identical(entry, model, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    model.save_pretrained(first)
    catalog.load(entry.model).from_pretrained(first).save_pretrained(second)
    assert {f.name for f in first.iterdir()} == {f.name for f in second.iterdir()}
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


def test_auto_classes_find_the_folder(entry, model, config, tmp_path):
    import transformers

    model.save_pretrained(tmp_path)
    GenaeImageProcessor(num_channels=config.num_channels, size=config.image_size).save_pretrained(
        tmp_path
    )
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(config)
    auto = getattr(transformers, entry.auto)
    assert type(auto.from_pretrained(tmp_path)) is type(model)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert isinstance(processor, GenaeImageProcessor)
    assert processor.output_size == config.image_size


def test_config_survives_json(config, tmp_path):
    config.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text)["model_type"] == config.model_type
    again = type(config).from_pretrained(tmp_path)
    assert again.to_diff_dict() == config.to_diff_dict()
    assert {k: v for k, v in again.to_dict().items() if k != "_name_or_path"} == {
        k: v for k, v in config.to_dict().items() if k != "_name_or_path"
    }


def test_config_names_its_model_type(entry, config):
    assert config.model_type == entry.model_type
    assert catalog.load(entry.model).config_class is type(config)
    assert catalog.find_config(config.model_type) is entry


def test_model_builds_without_memory(entry, config):
    with torch.device("meta"):
        model = catalog.load(entry.model)(config)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    assert model.num_parameters() == catalog.load(entry.model)(config).num_parameters()


def test_two_models_from_one_seed_are_equal(entry, config):
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(catalog.load(entry.model)(config).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_calls_repeat_under_a_seed(model, config):
    first, second = outputs(model, config), outputs(model, config)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_picture_does_not_depend_on_its_batch(model, config):
    whole = pictures(config)
    call = represent(model)
    with torch.no_grad():
        together = call(whole)
        alone = torch.cat([call(picture[None]) for picture in whole])
        backwards = call(whole.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, backwards, rtol=1e-4, atol=1e-5)
    assert together.var(0).max() > 1e-8  # pictures are told apart at all


def test_eval_calls_change_nothing(model, config):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs(model, config)
    if is_autoencoder(model):
        model.train()
        model.sample(3, seed=0)
        model.reconstruct(pictures(config))
        assert model.training  # put back as it was
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_outputs_have_the_promised_shapes(model, config):
    found = model(**inputs(config))
    assert found.loss.shape == ()
    if not hasattr(model, "encode"):
        assert found.logits.shape == (BATCH, config.num_labels)
        assert model.features(pictures(config)).shape == (BATCH, config.feature_size)
        return
    assert found.latents.shape == (BATCH, config.latent_size)
    assert model(**inputs(config), return_loss=False).loss is None
    if is_autoencoder(model):
        assert found.reconstruction.shape == pictures(config).shape
        assert 0 <= found.reconstruction.min() <= found.reconstruction.max() <= 1


@autoencoders
def test_samples_have_the_promised_shape_and_range(entry, model, config):
    samples = model.sample(3, seed=0)
    assert samples.shape == (3, *pictures(config).shape[1:])
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


def wrong_pictures(config):
    """Pictures that no model of this config may read, each with what the error must say."""
    channels, size = config.num_channels, config.image_size
    right = pictures(config)
    yield "taller", torch.zeros(2, channels, size + 4, size), str(size)
    yield "other channels", torch.zeros(2, 4 - channels, size, size), str(channels)
    yield "no batch", right[0], "shape"
    yield "beyond one", right * 255, r"\[0, 1\]"
    yield "below zero", right * 2 - 1, r"\[0, 1\]"
    yield "not a number", right.new_full(right.shape, torch.nan), r"\[0, 1\]"
    yield "bytes", (right * 255).to(torch.uint8), "float"


def test_wrong_pictures_are_refused_in_words(model, config):
    call = represent(model)
    for name, pixel_values, word in wrong_pictures(config):
        with pytest.raises(ValueError, match=word):
            call(pixel_values)
        with pytest.raises(ValueError, match="pixel_values"):
            model(pixel_values)
        assert name


def test_pictures_from_the_processor_go_in(model, config):
    import numpy

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


def test_loading_and_saving_warn_of_nothing(entry, model, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_pretrained(tmp_path)
        catalog.load(entry.model).from_pretrained(tmp_path)
