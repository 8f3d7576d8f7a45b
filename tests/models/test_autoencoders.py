"""What users call on any autoencoder: sampling, interpolation, and the EAE's promises."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from zoo.models import AEConfig, AEModel, EAEConfig, EAEModel, VAEConfig, VAEModel
from zoo.models.images.entropy import kozachenko_leonenko_entropy
from zoo.models.images.interpolation import interpolate_latents
from zoo.models.images.networks import check_network
from zoo.models.images.samplers import FullGaussian, GaussianMixture

TINY = {"image_size": 8, "width_multiplier": 0.02, "latent_size": 3}


@pytest.fixture
def model():
    return AEModel(AEConfig(**TINY)).eval()


def test_zero_temperature_decodes_the_centre(model):
    images = model.sample(4, temperature=0.0)
    assert torch.allclose(images, model.decode(torch.zeros(4, 3)), atol=1e-6)


def test_given_latents_are_decoded(model):
    latents = torch.randn(5, 3)
    assert torch.allclose(model.sample(5, latents=latents), model.decode(latents), atol=1e-6)


def test_a_seed_and_a_generator_of_that_seed_agree(model):
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(model.sample(2, seed=3), model.sample(2, generator=generator))


def test_sampling_leaves_the_global_random_state_alone_when_seeded(model):
    before = torch.get_rng_state()
    model.sample(3, seed=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "flow"}, "sampler must be one of prior, gaussian, mixture; got 'flow'"),
        ({"sampler": "mixture"}, "mixture sampler of this model has not been fitted"),
        ({"temperature": -1.0}, "temperature must be 0 or more and finite"),
        ({"temperature": float("inf")}, "temperature must be 0 or more and finite"),
        ({"seed": 1, "generator": torch.Generator()}, "not both"),
        ({"latents": torch.zeros(2, 3)}, "num_samples is 4, but there are 2 latents"),
        ({"latents": torch.zeros(4, 2)}, r"latents must have shape \(batch, 3\)"),
    ],
)
def test_wrong_requests_say_what_is_wrong(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        model.sample(4, **arguments)
    with pytest.raises(ValueError, match="num_samples must be at least 1"):
        model.sample(0)


def test_fitted_samplers_have_the_moments_they_were_given():
    config = AEConfig(latent_size=2, num_mixture_components=2)
    gaussian, mixture = FullGaussian(config), GaussianMixture(config)
    scale = torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    gaussian.mean.copy_(torch.tensor([3.0, -1.0]))
    gaussian.scale_tril.copy_(scale)
    mixture.weights.copy_(torch.tensor([0.25, 0.75]))
    mixture.means.copy_(torch.tensor([[-10.0, 0.0], [10.0, 0.0]]))
    mixture.scale_trils.copy_(torch.stack([scale, scale]))
    generator = torch.Generator().manual_seed(0)
    draws = gaussian.draw(40_000, 1.0, generator)
    assert torch.allclose(draws.mean(0), gaussian.mean, atol=0.05)
    assert torch.allclose(draws.T.cov(), scale @ scale.T, atol=0.1)
    draws = mixture.draw(40_000, 0.0, generator)
    assert draws[:, 0].mean().item() == pytest.approx(5.0, abs=0.15)
    assert set(draws[:, 0].tolist()) == {-10.0, 10.0}


def test_every_sampler_works_in_half_precision(model):
    for sampler in ("gaussian", "mixture"):
        for buffer in model.samplers[sampler].buffers():
            buffer.fill_(0.5)
    half = model.to(torch.bfloat16)
    for sampler in ("prior", "gaussian", "mixture"):
        images = half.sample(2, sampler=sampler, seed=0)
        assert images.dtype == torch.float32  # which numpy knows; the weights stay as they are
        assert images.isfinite().all()
    assert half.dtype == torch.bfloat16


def test_sampling_leaves_frozen_parts_in_eval_mode(model):
    model.train()
    model.encoder.eval()
    model.sample(1)
    assert model.training
    assert not model.encoder.training


def test_interpolation_ends_at_the_reconstructions(model):
    a, b = torch.rand(2, 3, 1, 8, 8)
    for mode in ("slerp", "linear"):
        path = model.interpolate(a, b, 5, mode=mode)
        assert path.shape == (3, 5, 1, 8, 8)
        assert torch.allclose(path[:, 0], model.reconstruct(a), atol=1e-5)
        assert torch.allclose(path[:, -1], model.reconstruct(b), atol=1e-5)


def test_slerp_keeps_the_norm_and_lines_shrink_it():
    start, end = torch.eye(4)[:2, None] * 3
    arc = interpolate_latents(start, end, 7, "slerp").norm(dim=-1)
    line = interpolate_latents(start, end, 7, "linear").norm(dim=-1)
    assert torch.allclose(arc, torch.full((1, 7), 3.0), atol=1e-5)
    assert line[0, 3].item() == pytest.approx(3 / 2**0.5, rel=1e-5)


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
def test_slerp_between_parallel_codes_is_the_line(factor):
    start = torch.randn(2, 4)
    arc = interpolate_latents(start, factor * start, 5, "slerp")
    line = interpolate_latents(start, factor * start, 5, "linear")
    assert torch.allclose(arc, line, atol=1e-4)


def test_interpolation_refuses_nonsense(model):
    a = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="steps must be at least 2"):
        model.interpolate(a, a, 1)
    with pytest.raises(ValueError, match="mode must be one of slerp, linear"):
        model.interpolate(a, a, 3, mode="spline")
    with pytest.raises(ValueError, match="make them equal"):
        model.interpolate(a, a.expand(2, -1, -1, -1), 3)


@pytest.mark.parametrize("size", [8, 12, 16, 28, 32, 48, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_convolutional_networks_fit_every_size_the_strides_allow(size, channels):
    config = AEConfig(image_size=size, num_channels=channels, width_multiplier=0.02)
    images = torch.rand(2, channels, size, size)
    assert AEModel(config)(images).reconstruction.shape == images.shape


def test_other_sizes_are_refused_with_the_way_out():
    message = "multiple of 4 from 8 on, got 30; pad the images"
    with pytest.raises(StrictDataclassError, match=message):
        AEConfig(image_size=30)


def test_eae_codes_are_normalised_without_parameters_of_their_own():
    model = EAEModel(EAEConfig(**TINY)).train()
    codes = model.encode(torch.rand(64, 1, 8, 8))
    assert torch.allclose(codes.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(codes.var(0, correction=0), torch.ones(3), atol=1e-2)
    assert not list(model.code_norm.parameters())


def test_eae_loss_is_reconstruction_minus_weighted_entropy_of_the_batch():
    model = EAEModel(EAEConfig(entropy_weight=0.7, num_neighbors=2, **TINY)).train()
    output = model(torch.rand(32, 1, 8, 8))
    assert output.entropy.item() == pytest.approx(
        kozachenko_leonenko_entropy(output.latents, 2).item(), abs=1e-5
    )
    expected = output.reconstruction_loss - 0.7 * output.entropy
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_eae_entropy_reaches_the_encoder_and_raises_the_entropy():
    torch.manual_seed(1)
    model = EAEModel(EAEConfig(**(TINY | {"latent_size": 2}))).train()
    images = torch.rand(128, 1, 8, 8)
    optimizer = torch.optim.Adam(model.encoder.parameters(), 1e-2)
    entropies = []
    for _ in range(30):
        entropy = model(images).entropy
        optimizer.zero_grad()
        (-entropy).backward()
        optimizer.step()
        entropies.append(entropy.item())
    assert entropies[-1] > entropies[0] + 0.2


def test_eae_needs_more_images_than_neighbours_only_for_the_entropy():
    model = EAEModel(EAEConfig(**TINY)).eval()
    one = torch.rand(1, 1, 8, 8)
    with pytest.raises(ValueError, match="at least 2 points"):
        model(one)
    assert model(one, return_loss=False).loss is None


def own_networks(encoder=None, decoder=None):
    """A VAE of 8 x 8 colours, 3 dimensions and a beta-binomial, with networks of its own."""

    class Own(VAEModel):
        def make_encoder(self, config):
            return super().make_encoder(config) if encoder is None else encoder()

        def make_decoder(self, config, num_outputs):
            if decoder is None:
                return super().make_decoder(config, num_outputs)
            return decoder(num_outputs)

    config = VAEConfig(image_size=8, num_channels=3, latent_size=3, likelihood="beta_binomial",
                       width_multiplier=0.02)  # fmt: skip
    return Own(config)


def test_networks_of_ones_own_that_keep_the_contract_make_a_model():
    norm = nn.BatchNorm1d(192)
    model = own_networks(lambda: nn.Sequential(nn.Flatten(), norm, nn.Linear(192, 6)))
    assert norm.training
    assert not norm.num_batches_tracked  # by the check, which is no step of training
    assert model.encode(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    assert model.log_prob(torch.rand(2, 3, 8, 8), 2).isfinite().all()


def test_checking_a_network_draws_no_random_numbers():
    class Noisy(nn.Module):
        def forward(self, values):
            return values + torch.rand_like(values)

    state = torch.get_rng_state()
    check_network("make_encoder", Noisy(), (3,), (3,))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("encoder", "word"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), r"\(2, 3\)"),
        (lambda: nn.Linear(7, 6), r"\(batch, 3, 8, 8\).*fails"),
        (lambda: torch.sin, "builtin"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LSTM(192, 6)), "tuple"),
    ],
)
def test_an_encoder_that_breaks_the_contract_is_refused_when_it_is_made(encoder, word):
    with pytest.raises(ValueError, match=rf"make_encoder .*\(batch, 6\).*{word}"):
        own_networks(encoder)


def test_a_decoder_that_breaks_the_contract_is_refused_when_it_is_made():
    def one_parameter(num_outputs):
        assert num_outputs == 6  # two of a beta-binomial for each of three channels
        return nn.Sequential(nn.Linear(3, 192), nn.Unflatten(1, (3, 8, 8)))

    with pytest.raises(ValueError, match=r"make_decoder .*\(batch, 6, 8, 8\).*\(2, 3, 8, 8\)"):
        own_networks(decoder=one_parameter)


def test_the_contract_is_checked_on_the_meta_device_too():
    with torch.device("meta"):
        own_networks(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 6)))
        with pytest.raises(ValueError, match="make_encoder"):
            own_networks(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5)))
