"""Laws of every model that gives an energy: signs, shapes, gradients, chains, refusals."""

import pytest
import torch

from tests.contract.subjects import BATCH, OF_VECTORS, VARIANTS, images
from zoo import catalog

SCORES = [case for case in VARIANTS if "scores" in catalog.ARCHITECTURES[case[0]].can]


#: Every model, the one with the longest walks in the full suite alone.
quick_or_all = pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            case, id="-".join(case), marks=[pytest.mark.slow] * (case == ("mdsm", "colour"))
        )
        for case in SCORES
    ],
    indirect=True,
)


@pytest.fixture(params=SCORES, ids="-".join)
def entry(request):
    return catalog.ARCHITECTURES[request.param[0]]


def test_energy_and_score_are_those_of_the_log_density(model, config):
    x = images(config).double() + 0.1
    model.double()
    log_density = model.log_density(x)
    assert log_density.shape == (BATCH,)
    assert torch.equal(model.energy(x), -log_density)
    score = model.score(x)
    assert score.shape == x.shape
    direction = torch.randn(x.shape, dtype=x.dtype)
    step = 1e-5
    ends = [model.log_density(x + sign * step * direction).detach() for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    expected = (score * direction).flatten(1).sum(1)
    torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-6)


def test_the_score_has_no_curl(model, config):
    x = images(config, 1).double() + 0.1
    model.double()
    jacobian = torch.func.jacrev(torch.func.grad(lambda x: model.raw_log_density(x).sum()))(x)
    size = x.numel()
    jacobian = jacobian.reshape(size, size)
    assert jacobian.abs().max() > 1e-6
    torch.testing.assert_close(jacobian, jacobian.T, rtol=1e-9, atol=1e-12)


def test_denoising_is_a_jump_along_the_score(model, config):
    x = images(config) + 0.1
    expected = x + model.noise_level**2 * model.score(x)
    assert torch.equal(model.denoise(x), expected)
    assert torch.equal(model.denoise(x, model.noise_level), expected)
    with pytest.raises(ValueError, match="sigma"):
        model.denoise(x, -1.0)


def test_scores_leave_parameters_and_their_gradients_alone(model, config):
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.score(images(config))
    model.sample(2, seed=0, sampler="langevin")
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad
        assert torch.equal(parameter, kept[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_with_the_reason(model, config, dtype):
    x = images(config)
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(ValueError, match=r"float32.*noise"),
    ):
        model(x)
    model.to(dtype)
    for call in (model, model.score, model.log_density, model.denoise):
        with pytest.raises(ValueError, match=r"float32 or float64, not .*float16: .*noise"):
            call(x.to(dtype))
    with pytest.raises(ValueError, match="float32"):
        model.sample(1, seed=0)


@quick_or_all
def test_samples_have_the_promised_shape_and_range(model, config):
    made = {}
    for sampler in (None, *model.samplers):
        drawn = made[sampler] = model.sample(3, seed=0, sampler=sampler)
        assert drawn.shape == (3, *config.data_shape)
        assert drawn.dtype == torch.float32
        assert not drawn.requires_grad
        assert drawn.isfinite().all()
        if config.input_shape is None:
            assert 0 <= drawn.min() <= drawn.max() <= 1
        assert torch.equal(drawn, model.sample(3, seed=0, sampler=sampler))
        assert not torch.equal(drawn, model.sample(3, seed=1, sampler=sampler))
    assert torch.equal(made[None], made[model.samplers[0]])
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(model.sample(3, generator=generator), made[None])


def test_a_jump_is_what_separates_two_samples(model, config):
    if config.input_shape is None:
        pytest.skip("images are clamped after the jump")
    chains = {"sampler": "langevin", "seed": 0}
    noisy = model.sample(3, jump=False, **chains)
    assert torch.equal(model.sample(3, **chains), model.denoise(noisy))
    if "generator" in model.samplers:
        plain = model.sample(3, seed=0)
        assert torch.equal(plain, model.sample(3, seed=0, jump=False))
        assert torch.equal(model.sample(3, seed=0, jump=True), model.denoise(plain))


def test_sampling_changes_nothing(model, config):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    for sampler in model.samplers:
        model.sample(2, seed=0, sampler=sampler)
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_inpainting_keeps_what_is_known(model, config):
    given = images(config)
    mask = torch.zeros(config.data_shape, dtype=torch.bool)
    mask[..., -1:] = True
    unread = torch.where(mask, torch.nan, given)  # what is missing may hold anything
    filled = model.inpaint(unread, mask, seed=0)
    assert torch.equal(filled[..., :-1], given[..., :-1])
    assert filled.isfinite().all()
    assert not torch.equal(filled[..., -1:], given[..., -1:])
    assert torch.equal(filled, model.inpaint(given, mask, seed=0))


def test_interpolating_ends_where_it_should(model, config):
    a, b = images(config), images(config, seed=5)
    path = model.interpolate(a, b, 4, chain_steps=3, seed=0)
    assert path.shape == (BATCH, 4, *config.data_shape)
    assert torch.equal(path[:, 0], a)
    assert torch.equal(path[:, -1], b)
    assert torch.equal(path, model.interpolate(a, b, 4, chain_steps=3, seed=0))
    for wrong, word in (((a, b, 1), "steps"), ((a, b[:2], 3), "shape")):
        with pytest.raises(ValueError, match=word):
            model.interpolate(*wrong)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"sampler": "prior"}, "sampler"),
        ({"steps": 0}, "steps"),
        ({"temperature": -1.0}, "temperature"),
        ({"seed": 0, "generator": torch.Generator()}, "seed"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_wrong_arguments_of_sampling_are_refused(model, options, word):
    with pytest.raises(ValueError, match=word):
        model.sample(2, **options)
    with pytest.raises(ValueError, match="num_samples"):
        model.sample(0)


@quick_or_all
def test_a_stored_partition_function_is_that_of_the_weights_it_was_stored_for(model, config):
    x = images(config)
    if config.input_shape is None:
        with pytest.raises(ValueError, match="store_log_z"):
            model.log_density(x, normalized=True)
        few = {"num_samples": 4, "num_temperatures": 5}
        assert model.log_z(**few) == model.log_z(**few)
        bounds = model.log_z_bounds(3, num_temperatures=5)
        assert all(torch.tensor(bounds).isfinite())
        model.store_log_z(**few)
    found = model.log_density(x, normalized=True)
    torch.testing.assert_close(found, model.log_density(x) + model.constant)
    assert model.constant_samples > 0
    model.train()
    model(x)
    assert model.constant_samples == 0


@pytest.mark.parametrize("entry", OF_VECTORS, indirect=True, ids="-".join)
def test_wrong_vectors_are_refused_in_words(entry, model, config):
    right = images(config)
    for wrong, word in (
        (right[:, :1], "shape"),
        (right[0], "shape"),
        (right.long(), "floats"),
        (right.unsqueeze(1), "shape"),
    ):
        for call in (model, model.score, model.log_density):
            with pytest.raises(ValueError, match=word):
                call(wrong)
