"""The encoder trained by mutual information: its terms, its taps, its refusals."""

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from zoo.models import InfoMaxConfig, InfoMaxModel
from zoo.models.images.information import PAIRINGS

FIXTURE = Path(__file__).parents[1] / "fixtures" / "infomax"
TERMS = ("global_information", "local_information", "global_score", "local_score")


def images(config, count=6):
    return torch.rand(count, config.num_channels, config.image_size, config.image_size)


@pytest.fixture
def built(tiny_config):
    """`built(alpha=1.0)`: a tiny model and a batch for it."""

    def make(variant=None, **settings):
        torch.manual_seed(0)
        config = tiny_config("infomax", variant, **settings)
        return InfoMaxModel(config).eval(), images(config)

    return make


def test_the_papers_encoder_has_the_papers_sizes():
    with torch.device("meta"):
        model = InfoMaxModel(InfoMaxConfig())
        values = torch.zeros(2, 3, 32, 32)
    shapes = {tap: tuple(model.encode(values, tap=tap).shape) for tap in model.taps}
    assert shapes == {"conv": (2, 4096), "features": (2, 1024), "code": (2, 64)}
    assert model.encoder(values)[0].shape == (2, 128, 8, 8)
    assert 2 * model.num_parameters() < 12e6  # bytes in half precision, score networks included


@pytest.mark.parametrize("variant", ["strided", "pooled"])
def test_each_tap_is_computed_from_the_one_before(built, variant):
    model, values = built(variant)
    code = model.encode(values)
    assert torch.equal(code, model.encode(values, tap="code"))
    outputs = model.encoder.output(model.encode(values, tap="features"))
    assert torch.allclose(outputs[:, : code.shape[1]], code, atol=1e-6)
    conv = model.encode(values, tap="conv")
    map_ = conv.unflatten(1, (-1, 2, 2))  # channels first, 16 / 8 high and wide
    assert torch.allclose(model.encoder.features(map_), model.encode(values, tap="features"))
    with pytest.raises(ValueError, match="conv, features, code; got 'fc'"):
        model.encode(values, tap="fc")


@pytest.mark.parametrize("estimator", ["infonce", "jsd", "donsker_varadhan"])
@pytest.mark.parametrize("score", ["dot_product", "concatenated"])
@pytest.mark.parametrize("negatives", PAIRINGS)
def test_the_loss_is_the_weighted_sum_of_its_named_terms(built, estimator, score, negatives):
    model, values = built(
        alpha=0.7, beta=1.3, gamma=0.2, estimator=estimator, score=score, negatives=negatives
    )
    torch.manual_seed(1)
    found = model(values)
    kind = "score" if estimator == "jsd" else "information"
    assert {name for name in TERMS if name in found} == {
        f"global_{kind}", f"local_{kind}"
    }  # fmt: skip
    loss = 0.2 * found.kl - 0.7 * found[f"global_{kind}"] - 1.3 * found[f"local_{kind}"]
    assert torch.allclose(found.loss, loss, atol=1e-6)


def test_the_cap_stands_beside_infonce_alone(built):
    kinds = (("all_pairs", 6), ("all_locations", 1 + 5 * 16), ("derangement", 2))
    for negatives, candidates in kinds:
        model, values = built(negatives=negatives)
        assert model(values).information_cap.item() == pytest.approx(math.log(candidates))
    model, values = built(estimator="jsd")
    assert model(values).information_cap is None


@pytest.mark.parametrize("estimator", ["infonce", "jsd", "donsker_varadhan"])
def test_score_networks_that_say_nothing_give_zero(built, estimator):
    model, values = built(alpha=1.0, estimator=estimator)
    for scores in (model.global_scores, model.local_scores):
        torch.nn.init.zeros_(scores.codes.norm.weight)
    found = model(values)
    values = [found[name].item() for name in TERMS if name in found]
    assert values == pytest.approx([0, 0], abs=1e-6)


def test_the_kl_is_that_of_the_codes_summed_over_dimensions(built):
    model, values = built(gamma=0.5)
    mean, log_var = model.encoder(values)[-1].chunk(2, 1)
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    normal = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    expected = torch.distributions.kl_divergence(posterior, normal).sum(1).mean()
    assert model(values).kl.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.equal(model.encode(values), mean)
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(model.encode_sample(values, generator), mean)


def test_without_a_prior_the_code_has_no_noise(built):
    model, values = built()
    assert model(values).kl is None
    assert torch.equal(model.encode_sample(values), model.encode(values))
    assert torch.equal(model(values).latents, model.encode(values))


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma"), [(0.0, 1.0, 1.0), (0.5, 0.5, 2), (0.0, 0.0, 0.0)]
)
def test_weights_that_reward_forgetting_are_refused_with_the_reason(alpha, beta, gamma):
    with pytest.raises(StrictDataclassError, match="would be optimal; lower gamma"):
        InfoMaxConfig(alpha=alpha, beta=beta, gamma=gamma)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"image_size": 28}, "multiple of 8"),
        ({"estimator": "mine"}, "estimator"),
        ({"score": "bilinear"}, "score"),
        ({"negatives": "shuffle"}, "negatives"),
        ({"network": "dense"}, "network"),
        ({"global_tap": "fc"}, "global_tap"),
        ({"num_locations": 0}, "num_locations"),
        ({"beta": -1.0}, "beta"),
        ({"width_multiplier": 0.0}, "width_multiplier"),
    ],
)
def test_other_wrong_settings_are_refused_by_name(settings, word):
    with pytest.raises(StrictDataclassError, match=word):
        InfoMaxConfig(**settings)


def test_one_image_has_no_negative(built):
    model, values = built()
    with pytest.raises(ValueError, match="pixel_values contain 1 image"):
        model(values[:1])
    assert model(values[:1], return_loss=False).latents.shape == (1, 4)


def test_networks_without_weight_are_not_made(built):
    assert not hasattr(built()[0], "global_scores")
    assert not hasattr(built("global")[0], "local_scores")


@pytest.mark.parametrize("tap", ["conv", "features", "code"])
def test_the_global_pair_is_the_one_named(built, tap):
    model, values = built(alpha=1.0, beta=0.0, global_tap=tap)
    tapped = model.encode(values, tap=tap)
    pairs = PAIRINGS["all_pairs"](model.global_scores, tapped, model.encode(values))
    expected = (pairs[0] - torch.cat([pairs[0][:, None], pairs[1]], 1).logsumexp(1)).mean()
    expected = expected + math.log(len(values))
    assert torch.allclose(model(values).global_information, expected, atol=1e-6)


def test_local_information_is_the_mean_over_locations(built):
    model, values = built()
    local = model.encoder(values)[0].flatten(2)
    codes = model.encode(values)
    single = [
        model._estimate(model.local_scores, local[..., place], codes)[0]
        for place in range(local.shape[2])
    ]
    assert torch.allclose(model(values).local_information, torch.stack(single).mean(), atol=1e-6)


def test_training_draws_locations_and_evaluation_takes_them_all(built):
    model, values = built(num_locations=3)
    assert torch.equal(model(values).loss, model(values).loss)
    everything = model.encoder(values)[0].flatten(2)
    assert model._locations(everything).shape[1] == everything.shape[2] == 16
    model.train()
    drawn = model._locations(everything)
    assert drawn.shape == (6, 3, everything.shape[1])
    columns = {tuple(place.flatten().tolist()) for place in everything.permute(2, 0, 1)}
    assert {tuple(place.flatten().tolist()) for place in drawn.transpose(0, 1)} <= columns


def test_a_view_that_is_the_same_changes_no_term(built):
    model, values = built(alpha=0.7, beta=1.3, gamma=0.0)
    one, two = model(values), model(values, other_view=values)
    for name in ("loss", "global_information", "local_information", "information_cap"):
        torch.testing.assert_close(two[name], one[name])
    torch.testing.assert_close(two.latents, one.latents)


@pytest.mark.parametrize("negatives", PAIRINGS)
def test_two_views_are_scored_against_each_other(built, negatives):
    model, values = built(negatives=negatives)
    other = values.flip(-1)
    found = model(values, other_view=other)
    torch.testing.assert_close(found.loss, model(other, other_view=values).loss)
    expected = []
    for codes_of, features_of in ((values, other), (other, values)):
        codes, local = model.encode(codes_of), model.encoder(features_of)[0]
        estimate, _ = model._estimate(model.local_scores, local.flatten(2).transpose(1, 2), codes)
        expected.append(estimate.mean())
    torch.testing.assert_close(found.local_information, torch.stack(expected).mean())
    with pytest.raises(ValueError, match="no other"):
        model(values[:1], other_view=other[:1])


def test_half_precision_scores_are_widened_before_they_are_exponentiated(built):
    model, values = built(gamma=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(values)
    assert found.loss.dtype == found.kl.dtype == torch.float32
    assert found.loss.isfinite()


def test_training_finds_the_information_that_there_is():
    """Images of one of four kinds: what a code can tell of another's kind is log 4 at most."""
    torch.manual_seed(0)
    config = InfoMaxConfig(
        image_size=16, num_channels=1, latent_size=8, width_multiplier=0.125, feature_size=16,
        score_size=32,
    )  # fmt: skip
    model = InfoMaxModel(config).train()
    kinds = torch.rand(4, 1, 16, 16).round()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        # One of each kind a batch: all information that tells kinds apart is log 4.
        found = model((kinds * 0.8 + 0.2 * torch.rand(4, 1, 16, 16)).clamp(0, 1))
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()
    assert 1.0 < found.local_information.item() <= math.log(4) + 1e-6


def read_keras(model):
    """Put the recorded Keras weights into a model of the max-pooled kind."""
    with h5py.File(FIXTURE / "total_model.cifar10.weights") as file:
        recorded = {}
        file.visititems(
            lambda name, item: (
                recorded.__setitem__(name.split("/", 1)[1], np.array(item))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    get = {name.removesuffix(":0"): torch.tensor(v) for name, v in recorded.items()}
    encoder = model.encoder
    convolutions = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for number, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True), 1):
            kernel = get[f"conv2d_{number}/kernel"].permute(3, 2, 0, 1)
            # Keras saw x - 1/2, ours sees 2x - 1.
            convolution.weight.copy_(kernel / 2 if number == 1 else kernel)
            name = f"batch_normalization_{number}"
            norm.weight.copy_(get[f"{name}/gamma"])
            norm.bias.copy_(get[f"{name}/beta"])
            mean = get[f"{name}/moving_mean"] - get[f"conv2d_{number}/bias"]
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(get[f"{name}/moving_variance"])
            norm.eps = 1e-3
        heads = [get[f"dense_{number}/kernel"].T for number in (1, 2)]
        encoder.output.weight.copy_(torch.cat(heads))
        encoder.output.bias.copy_(torch.cat([get[f"dense_{number}/bias"] for number in (1, 2)]))
        for scores, first in ((model.global_scores, 3), (model.local_scores, 7)):
            layers = [scores.input, *(m for m in scores.rest if isinstance(m, torch.nn.Linear))]
            for number, layer in enumerate(layers, first):
                layer.weight.copy_(get[f"dense_{number}/kernel"].T)
                layer.bias.copy_(get[f"dense_{number}/bias"])


def test_the_max_pooled_encoder_and_its_scores_are_those_of_the_original():
    config = InfoMaxConfig(
        network="pooled", width_multiplier=6 / 64, latent_size=24, score_size=24, alpha=0.5,
        beta=1.5, gamma=0.01 / 24, estimator="jsd", score="concatenated", global_tap="code",
        negatives="derangement",
    )  # fmt: skip
    model = InfoMaxModel(config).double().eval()
    read_keras(model)
    given, expected = (np.load(FIXTURE / f"{name}.npz") for name in ("inputs", "ref_f64"))
    values = torch.tensor(given["x"]).double().permute(0, 3, 1, 2) + 0.5
    values = values.clamp(0, 1)  # float32 has rounded 1/2 away from the ends
    local, _, _, outputs = model.encoder(values)
    mean, log_var = model._code(outputs)

    def close(found, name):
        torch.testing.assert_close(
            found, torch.tensor(expected[name]).reshape(found.shape), rtol=1e-6, atol=1e-6
        )

    close(mean, "z_mean")
    close(log_var, "z_log_var")
    close(local.permute(0, 2, 3, 1), "feature_map")
    codes = mean + (0.5 * log_var).exp() * torch.tensor(given["noise_eps"]).double()
    places = local.flatten(2).permute(2, 0, 1)
    for name, scores, features, order in (
        ("global", model.global_scores, codes, given["noise_perm_z"]),
        ("local", model.local_scores, places, given["noise_perm_f"]),
    ):
        embedded, keys = scores.embed(features, codes)
        positive = scores.paired(embedded, keys)
        negative = scores.paired(embedded[..., torch.tensor(order).long(), :], keys)
        for kind, logits in (("pos", positive), ("neg", negative)):
            close(logits.sigmoid().movedim(-1, 0), f"{name}_{kind}")
        # The original's loss, but for the 1e-6 inside its logarithms.
        from zoo.models.images.information import jsd

        score = jsd(positive, negative[..., None]).mean().item()
        loss = float(expected[f"{name}_info_loss"])
        assert 2 * math.log(2) - score == pytest.approx(loss, abs=1e-4)
    from zoo.models.images.bounds import gaussian_kl

    mean_kl = gaussian_kl(mean, log_var).mean().item()
    assert mean_kl == pytest.approx(float(expected["prior_kl_loss_batch"]), rel=1e-6)
