"""Laws that every architecture of the catalog keeps, in every variant of tests/tiny.py.

Images, texts, and transformers' own classes alike.
"""

import dataclasses
import inspect
import json
import warnings

import pytest
import torch
import transformers
from transformers import AutoConfig

from tests.contract.subjects import (
    VARIANTS,
    by_name,
    examples,
    inputs,
    loss_of,
    outputs,
    reads,
    represent,
)
from tests.tiny import LEFT_UNSET, NOT_AT_FIRST, NOT_IN_HALF, TINY
from zoo import catalog

#: One variant of each.
FIRST = [(name, next(iter(variants))) for name, variants in TINY.items()]
#: Settings that a configuration takes without a field of its own.
MORE = {"decoder_start_token_id"}


def test_every_architecture_has_tiny_configs():
    assert set(TINY) == set(catalog.ARCHITECTURES)
    assert all(TINY.values())


@pytest.mark.parametrize(("architecture", "variant"), VARIANTS)
def test_a_config_holds_what_it_was_given(architecture, variant, tiny_config):
    config = tiny_config(architecture, variant)
    # Configs keep unknown keys silently, so a typing error would go unnoticed here.
    known = {field.name for field in dataclasses.fields(config)} | {"num_labels", *MORE}
    given = TINY[architecture][variant]
    assert set(given) <= known
    assert {name: getattr(config, name) for name in given} == given


def test_every_parameter_receives_a_gradient(entry, model, config):
    model.train()
    loss_of(model).backward()
    asked = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    later = NOT_AT_FIRST.get(entry.name, ())
    missing = {name for name, gradient in asked.items() if gradient is None}
    assert missing == {name for name in asked if name.startswith(later)}
    assert all(asked[name].isfinite().all() for name in asked.keys() - missing)
    if reads(config) != "images":
        # A softmax does not see what is added to all scores of a query.
        still = [name for name in asked.keys() - missing if not asked[name].any()]
        assert all("key.bias" in name for name in still), still


def test_a_step_down_the_gradient_lowers_the_loss(entry, model, config):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def loss():
        torch.manual_seed(3)
        model.load_state_dict(buffers, strict=False)  # a warm-up counts its training passes
        return loss_of(model)

    model.train()
    before = loss()
    later = NOT_AT_FIRST.get(entry.name, ())
    learned = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not name.startswith(later)
    ]
    gradients = torch.autograd.grad(before, learned)
    norm = torch.stack([g.norm() for g in gradients]).norm()
    with torch.no_grad():
        for parameter, gradient in zip(learned, gradients, strict=True):
            parameter -= 1e-3 * gradient / norm
    assert loss() < before


def test_saved_and_loaded_by_its_auto_class_it_is_the_same(entry, model, config, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    auto = getattr(transformers, entry.auto)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_pretrained(first)
        loaded, info = auto.from_pretrained(first, output_loading_info=True)
        loaded.save_pretrained(second)
    assert type(loaded) is type(model)
    assert type(loaded.config) is type(config)
    assert not loaded.training
    assert not any(info.values())
    buffers = dict(model.named_buffers()), dict(loaded.named_buffers())  # unsaved ones as well
    for expected, found in ((model.state_dict(), loaded.state_dict()), buffers):
        assert list(expected) == list(found)
        for name, tensor in expected.items():
            assert torch.equal(tensor, found[name]), name
    given, again = outputs(model), outputs(loaded)
    assert given.keys() == again.keys()
    for name, value in given.items():
        # Loaded tensors are unaligned in the mapped file and may take other kernels.
        torch.testing.assert_close(again[name], value, rtol=1e-5, atol=1e-5)
    assert {f.name for f in first.iterdir()} == {f.name for f in second.iterdir()}
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


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
        if name in LEFT_UNSET.get(entry.name, ()):
            continue
        assert other.isfinite().all(), name
        # Drawn from one distribution: equal spread, whatever the draw.
        if parameter.numel() >= 64 and parameter.std() > 0:
            assert 0.6 < other.std() / parameter.std() < 1.6, name
        elif parameter.std(correction=0) == 0:
            assert torch.equal(parameter, other), name


def test_config_survives_json(config, tmp_path):
    config.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text)["model_type"] == config.model_type
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is type(config)
    assert again.to_diff_dict() == config.to_diff_dict()
    assert {k: v for k, v in again.to_dict().items() if k != "_name_or_path"} == {
        k: v for k, v in config.to_dict().items() if k != "_name_or_path"
    }


def test_config_names_its_model_type(entry, config):
    assert config.model_type == entry.model_type
    assert catalog.load(entry.model).config_class is type(config)
    assert catalog.find_config(config.model_type) is entry


@pytest.mark.parametrize("entry", catalog.TEXTS, ids=lambda entry: entry.name)
def test_the_row_says_whether_a_mask_is_read(entry):
    read = inspect.signature(catalog.load(entry.model).forward).parameters
    assert entry.reads_mask == ("attention_mask" in read)


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
    first, second = outputs(model), outputs(model)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_of_a_batch_does_not_depend_on_the_others(model, config):
    whole = examples(config)
    call = represent(model)
    with torch.no_grad():
        together = call(whole)
        alone = torch.cat([call(one[None]) for one in whole])
        backwards = call(whole.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, backwards, rtol=1e-4, atol=1e-5)
    assert together.var(0).max() > 1e-8  # they are told apart at all


def test_eval_calls_change_nothing(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    outputs(model)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_other_precisions_give_the_same(entry, model, config):
    exact = outputs(model)
    precisions = [(torch.float64, 1e-3), (torch.bfloat16, None)]
    # Scores break in half precision, which their models therefore refuse.
    if "scores" in entry.can or entry.name in NOT_IN_HALF:
        precisions.pop()
    for dtype, far in precisions:
        found = outputs(model.to(dtype), dtype)
        assert found.keys() == exact.keys()
        for name, value in found.items():
            assert value.isfinite().all(), name
            if value.ndim and reads(config) != "images":
                assert value.dtype == dtype, name
            if far:
                value = value.to(exact[name].dtype)
                torch.testing.assert_close(value, exact[name], rtol=far, atol=1e-4)
    for name in ("loss", "logits", "reconstruction"):
        if name in found:
            error = (found[name].float() - exact[name]).abs().mean()
            assert error <= 0.1 * exact[name].abs().mean() + 0.05, name


@pytest.mark.slow
@pytest.mark.parametrize("entry", FIRST, indirect=True, ids="-".join)
def test_a_compiled_model_gives_the_same(entry, model, config):
    given = inputs(config)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    torch.manual_seed(3)
    with torch.no_grad():
        found = by_name(compiled(**given))
    wanted = outputs(model)
    names = ["loss"] if "loss" in wanted else wanted
    for name in names:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)
