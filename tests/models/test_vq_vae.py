"""The autoencoder with discrete codes: codebook, straight-through gradient, prior."""

import itertools
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from zoo.models import VQVAEConfig, VQVAEModel
from zoo.models.images.code_prior import CodePrior
from zoo.models.images.codebook import Codebook, perplexity

TINY = {
    "image_size": 8,
    "width_multiplier": 0.02,
    "latent_size": 3,
    "num_codes": 6,
    "num_residual_blocks": 1,
    "prior_hidden_size": 8,
    "prior_num_layers": 2,
    "prior_num_heads": 2,
}


@pytest.fixture
def make():
    def make(**settings):
        torch.manual_seed(0)
        return VQVAEModel(VQVAEConfig(**(TINY | settings))).eval()

    return make


def book(*vectors, **settings):
    """A codebook of some vectors."""
    config = VQVAEConfig(num_codes=len(vectors), latent_size=len(vectors[0]), **settings)
    made = Codebook(config)
    made.begin()
    with torch.no_grad():
        made.embeddings.copy_(torch.tensor(vectors))
    return made


def test_codes_are_the_nearest_vectors_and_the_lowest_of_equals():
    torch.manual_seed(1)
    vectors, embeddings = torch.randn(2, 5, 4, 3), torch.randn(7, 3)
    found = book(*embeddings.tolist()).nearest(vectors)
    assert torch.equal(found, (vectors[..., None, :] - embeddings).norm(dim=-1).argmin(-1))
    ties = book([1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 5.0])
    assert ties.nearest(torch.tensor([[0.0, 0.0], [2.0, 0.0], [-3.0, 1.0]])).tolist() == [0, 0, 1]


def test_codes_go_out_and_come_back(make):
    model = make()
    images = torch.rand(5, 1, 8, 8)
    codes = model.encode(images)
    assert (codes.dtype, codes.shape) == (torch.long, (5, 2, 2))
    assert torch.equal(model.decode(codes), model.reconstruct(images))
    assert torch.equal(model.quantize(model.embed(codes)), codes)
    assert torch.equal(model.decode_vectors(model.embed(codes)), model.decode(codes))
    assert torch.equal(codes, model(images).codes)


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_the_decoder_s_gradient_goes_straight_to_the_encoder_s_vectors(make, codebook):
    """As if the decoder had read them, at the codebook's values; and none to the codebook."""
    model = make(codebook=codebook, commitment_weight=0, prior_hidden_size=0)
    images = torch.rand(4, 1, 8, 8)
    model(images).reconstruction_loss.backward()
    found = {name: p.grad for name, p in model.encoder.named_parameters()}
    assert getattr(model.codebook.embeddings, "grad", None) is None
    vectors = model.encoder(images)
    read = model.embed(model.quantize(vectors)).detach().requires_grad_()
    loss = -model.likelihood.log_prob(model.decoder(read), images).mean()
    (gradient,) = torch.autograd.grad(loss, read)
    wanted = torch.autograd.grad(vectors, list(model.encoder.parameters()), gradient)
    for (name, value), expected in zip(found.items(), wanted, strict=True):
        torch.testing.assert_close(value, expected, msg=name)
        assert value.any()


def test_the_loss_is_the_paper_s(make):
    model = make(codebook="gradient", commitment_weight=0.7)
    images = torch.rand(4, 1, 8, 8)
    found = model(images)
    vectors = model.encode_vectors(images)
    far = (vectors - model.embed(found.codes)).square().sum((1, 2, 3)).mean()
    nats = -model.prior.log_prob(found.codes).mean()
    torch.testing.assert_close(found.commitment_loss, far)
    torch.testing.assert_close(found.loss, found.reconstruction_loss + 1.7 * far + nats)
    gradient = torch.autograd.grad(found.loss, model.codebook.embeddings)[0]
    expected = torch.zeros_like(gradient)  # of the second term: twice the way to the vectors
    chosen = model.codebook(found.codes) - vectors.movedim(1, -1)
    expected.index_add_(0, found.codes.flatten(), 2 * chosen.flatten(0, 2) / len(images))
    torch.testing.assert_close(gradient, expected)


def test_the_prior_gives_no_gradient_to_the_autoencoder(make):
    model = make()
    model(torch.rand(4, 1, 8, 8)).prior_loss.backward()
    assert all(
        p.grad is None for part in (model.encoder, model.decoder) for p in part.parameters()
    )
    assert model.prior.output.weight.grad.any()


def test_averages_follow_their_closed_form():
    """After t batches: sums and counts, each batch weighted by decay^(t - s)."""
    made = book([0.0, 0.0], [4.0, 0.0], [0.0, 90.0], codebook_decay=0.8, restart_threshold=0)
    generator = torch.Generator().manual_seed(2)
    sums, counts = torch.zeros(3, 2), torch.zeros(3)
    for _ in range(5):
        vectors = torch.randn(20, 2, generator=generator) + torch.tensor([2.0, 0.0])
        codes = made.nearest(vectors)
        made.update(vectors, codes)
        sums, counts = 0.8 * sums, 0.8 * counts
        sums.index_add_(0, codes, vectors)
        counts.index_add_(0, codes, torch.ones(20))
    assert counts[:2].min() > 1
    torch.testing.assert_close(made.embeddings[:2], sums[:2] / counts[:2, None])
    assert made.embeddings[2].tolist() == [0.0, 90.0]  # never used, never moved
    assert made.updates == 5


def test_unused_vectors_restart_among_the_encoder_s_and_the_used_stay():
    near = [[0.0, 0.0], [900.0, 0.0], [800.0, 0.0], [700.0, 0.0]]
    made = book(*near, codebook_decay=0.5, restart_threshold=0.2)
    vectors = torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    made.update(vectors, made.nearest(vectors))
    torch.testing.assert_close(made.embeddings[0], vectors.mean(0))
    for restarted in made.embeddings[1:]:
        assert (restarted == vectors).all(1).any()
    assert len(made.embeddings.unique(dim=0)) == 4
    before = made.embeddings.clone()
    codes = made.nearest(vectors)
    assert len(codes.unique()) == 4
    made.update(vectors, codes)  # all are in use now: they move, none jumps
    for code in range(4):
        ahead = vectors[codes == code].mean(0)
        assert (made.embeddings[code] - ahead).norm() < (before[code] - ahead).norm()


def test_a_batch_in_eval_mode_or_without_loss_moves_nothing(make):
    model, images = make(), torch.rand(4, 1, 8, 8)
    before = {name: value.clone() for name, value in model.codebook.state_dict().items()}
    model(images)
    model.train()
    model(images, return_loss=False)
    for name, value in model.codebook.state_dict().items():
        assert torch.equal(value, before[name]), name
    model(images)
    assert not torch.equal(model.codebook.embeddings, before["embeddings"])


def test_perplexity_counts_codes_in_even_use():
    assert perplexity(torch.tensor([[0, 1], [2, 3]]), 9).item() == pytest.approx(4)
    assert perplexity(torch.zeros(3, 2, 2, dtype=torch.long), 9).item() == pytest.approx(1)
    uneven = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert perplexity(torch.tensor([5, 5, 5, 1]), 9).item() == pytest.approx(math.exp(uneven))


@pytest.fixture
def prior():
    """Over grids of 2 x 2 codes of 3; far from even."""
    torch.manual_seed(4)
    sizes = {"num_codes": 3, "image_size": 8, "prior_hidden_size": 8, "prior_num_heads": 2}
    made = CodePrior(VQVAEConfig(**sizes, prior_num_layers=2))
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval()


@pytest.fixture
def grids():
    """Every grid there is."""
    return torch.tensor(list(itertools.product(range(3), repeat=4))).view(-1, 2, 2)


@torch.no_grad()
def test_no_code_sees_itself_or_those_behind_it(prior, grids):
    logits = prior(grids).flatten(1, 2)
    for place in range(4):
        changed = grids.clone().flatten(1)
        changed[:, place:] = (changed[:, place:] + 1) % 3
        found = prior(changed.view(-1, 2, 2)).flatten(1, 2)
        assert torch.equal(found[:, : place + 1], logits[:, : place + 1])
        if place < 3:
            assert not torch.equal(found[:, place + 1], logits[:, place + 1])


@torch.no_grad()
def test_probabilities_of_all_grids_add_up_to_one(prior, grids):
    probabilities = prior.double().log_prob(grids).exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-12)
    assert probabilities.max() > 5 * probabilities.min()


@torch.no_grad()
def test_draws_are_distributed_as_log_prob_says(prior, grids):
    count = 20_000
    drawn = prior.draw(count, 1.0, torch.Generator().manual_seed(5))
    weights = 3 ** torch.arange(3, -1, -1)
    counts = torch.bincount((drawn.flatten(1) * weights).sum(1), minlength=81)
    expected = count * prior.log_prob(grids).exp()
    chi_square = ((counts - expected).square() / expected).sum().item()
    assert 35 < chi_square < 130  # 80 degrees of freedom: 1e-6 and 0.9997 of them
    likeliest = prior.draw(3, 0.0, None)
    assert torch.equal(likeliest[0], likeliest[1])
    first = prior(grids[:1]).flatten(1, 2)[0, 0].argmax()
    assert likeliest[0, 0, 0] == first


@torch.no_grad()
def test_a_number_stands_for_the_grid_that_its_probabilities_lead_to(prior, grids):
    """Each code's number lies between the cumulated probabilities of the codes below it."""
    uniform = torch.rand(50, 4, generator=torch.Generator().manual_seed(6))
    drawn = prior.codes_of(uniform)
    reached = prior(drawn).softmax(-1).flatten(1, 2).cumsum(-1)
    reached = torch.cat([torch.zeros(50, 4, 1), reached], -1)
    below = reached.gather(2, drawn.flatten(1)[..., None]).squeeze(-1)
    above = reached.gather(2, drawn.flatten(1)[..., None] + 1).squeeze(-1)
    assert (below <= uniform + 1e-5).all()
    assert (uniform <= above + 1e-5).all()


def test_interpolation_ends_at_the_reconstructions(make):
    model = make()
    a, b = torch.rand(2, 3, 1, 8, 8)
    path = model.interpolate(a, b, 5)
    assert path.shape == (3, 5, 1, 8, 8)
    assert torch.equal(path[:, 0], model.reconstruct(a))
    assert torch.equal(path[:, -1], model.reconstruct(b))
    with pytest.raises(ValueError, match="mode must be one of linear; got 'slerp'"):
        model.interpolate(a, b, 5, mode="slerp")


def test_samples_are_decoded_codes_of_the_prior(make):
    model = make()
    codes = model.sample_latents(4, seed=1, temperature=0.5)
    assert torch.equal(model.sample(4, seed=1, temperature=0.5), model.decode(codes))
    assert torch.equal(model.sample(4, latents=codes), model.decode(codes))
    assert not torch.equal(codes, model.sample_latents(4, seed=2, temperature=0.5))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(2, 4, dtype=torch.long), r"shape \(batch, 2, 2\), got \(2, 4\)"),
        (torch.zeros(2, 2, 2), "int64, numbers of vectors, got torch.float32"),
        (torch.full((1, 2, 2), 6), r"lie in \[0, 5\], got \[6, 6\]"),
        (torch.full((1, 2, 2), -1), r"lie in \[0, 5\], got \[-1, -1\]"),
    ],
)
def test_wrong_codes_are_refused_in_words(make, codes, message):
    with pytest.raises(ValueError, match=message):
        make().decode(codes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codebook": "sums"}, "codebook must be one of ema, gradient"),
        ({"network": "dense"}, "network must be one of convolutional, layers"),
        ({"num_codes": 0}, "num_codes must be at least 1"),
        ({"codebook_decay": 1.0}, r"codebook_decay must be in \[0, 1\), got 1.0"),
        ({"prior_hidden_size": 7}, "prior_hidden_size must be a multiple of prior_num_heads, 2"),
        ({"grid_size": 3}, "a quarter of image_size, 2, got 3"),
        ({"image_size": 10}, r"which two halvings need, got 10; pad the images .*processor\)$"),
    ],
)
def test_wrong_settings_are_refused_in_words(make, settings, message):
    with pytest.raises(StrictDataclassError, match=message):
        make(**settings)


def test_a_model_without_a_prior_says_so_when_it_is_to_sample(make):
    model = make(prior_hidden_size=0)
    assert model(torch.rand(2, 1, 8, 8)).prior_loss is None
    with pytest.raises(ValueError, match="no prior over its codes"):
        model.sample(2)
    assert "prior" not in " ".join(model.state_dict())
    assert model.cannot == {"samples": "this model has no prior over its codes"}
    assert make().cannot == {}
