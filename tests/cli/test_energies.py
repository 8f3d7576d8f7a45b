"""The verbs of models with an energy, as a person runs them, on tiny random models."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo import catalog
from zoo.errors import UsageError
from zoo.models.images.image_processing_genae import GenaeImageProcessor

SIZE = 6  # of images, which are padded by one pixel on each side


@pytest.fixture
def saved(tmp_path, tiny_config):
    """`saved("mdsm", "residual")`: the folder of a random model, of images or of points."""

    def save(architecture, variant=None, **overrides):
        folder = tmp_path / architecture
        config = tiny_config(architecture, variant, **overrides)
        torch.manual_seed(0)
        model = catalog.load(catalog.ARCHITECTURES[architecture].model)(config)
        if getattr(config, "input_shape", None) is None:
            side = config.image_size
            processor = GenaeImageProcessor(
                num_channels=config.num_channels, size=side - 2, pad_size=side
            )
            processor.save_pretrained(folder)
        else:
            model.store_log_z(1000)
        model.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def pixels_of(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_generator_is_drawn_from_and_chains_are_asked_for(saved, run, tmp_path):
    folder, output = saved("dde", "convolutional"), tmp_path / "a.png"
    code, out, _ = run("sample", folder, "-n", 4, "--seed", 3, "-o", output, "--json")
    facts = json.loads(out)
    assert (code, facts["sampler"], facts["steps"], facts["jump"]) == (0, "generator", None, False)
    code, out, _ = run(
        *("sample", folder, "-n", 4, "--seed", 3, "-o", output, "--json"),
        *("--sampler", "langevin", "--steps", 2, "--temperature", 1, "--no-jump"),
    )
    facts = json.loads(out)
    assert (code, facts["sampler"], facts["steps"], facts["jump"]) == (0, "langevin", 2, False)
    model = zoo.from_pretrained(folder)
    drawn = model.sample(4, sampler="langevin", steps=2, temperature=1.0, jump=False, seed=3)
    grid = zoo.sample(folder, 4, seed=3, sampler="langevin", steps=2, temperature=1.0, jump=False)
    expected = (drawn[..., 1:-1, 1:-1] * 255).round().to(torch.uint8)
    assert torch.equal(grid.images, expected)


def test_batches_of_chains_give_the_images_of_the_model(saved, monkeypatch):
    folder = saved("mdsm")
    monkeypatch.setattr("zoo.models.images.energy_sampling.CHAIN_BATCH", 2)
    drawn = zoo.from_pretrained(folder).sample(5, seed=1)
    grid = zoo.sample(folder, 5, seed=1)
    assert torch.equal(grid.images, (drawn[..., 1:-1, 1:-1] * 255).round().to(torch.uint8))


def test_a_trace_shows_the_way_of_the_images_that_are_drawn(saved, run, tmp_path):
    folder = saved("mdsm")
    grid = zoo.sample(folder, 3, seed=1, trace=True)
    way = grid.trace.images.unflatten(0, (3, -1))
    assert grid.trace.facts["steps"] == [1, 2, 3, 4]
    assert torch.equal(way[:, -1], grid.images)
    model = zoo.from_pretrained(folder)
    states = [state.x for state in model.chains(3, seed=1)]
    shown = (torch.stack(states, 1)[..., 1:-1, 1:-1].clamp(0, 1) * 255).round().to(torch.uint8)
    assert torch.equal(way[:, :-1], shown)
    trace = tmp_path / "trace.png"
    code, out, _ = run("sample", folder, "-n", 3, "--seed", 1, "--trace", trace)
    assert (code, out) == (0, f"{trace}\n")
    assert pixels_of(trace).shape[1] == 5 * 6 * 10 + 2 * 6  # five moments, enlarged tenfold


def test_points_are_one_image_and_their_coordinates(saved, run, tmp_path):
    folder, output, trace = saved("dde", "vectors"), tmp_path / "a.png", tmp_path / "b.png"
    words = ("sample", folder, "-n", 9, "--seed", 0, "--sampler", "langevin", "--json")
    code, out, _ = run(*words, "-o", output, "--trace", trace)
    facts = json.loads(out)
    assert (code, facts["traced"]) == (0, [1, 2, 3, 4])
    drawn = zoo.from_pretrained(folder).sample(9, sampler="langevin", seed=0)  # with the jump
    np.testing.assert_allclose(facts["points"], drawn.numpy(), atol=1e-6)
    side = pixels_of(output).shape[0]
    # Five moments, three of them in the first row.
    assert pixels_of(trace).shape == (2 * (side - 2) + 2, 3 * (side - 2) + 2)


@pytest.mark.parametrize(
    ("architecture", "words", "reason"),
    [
        ("dde", ["--trace", "b.png"], "draws from its generator, which has no steps"),
        ("dde", ["--steps", "3"], "draws from its generator, which has no steps"),
        ("dde", ["--sampler", "prior"], "has no codes; use one of generator, langevin"),
        ("mdsm", ["--sampler", "generator"], "it has langevin, metropolis"),
        ("mdsm", ["--sampler", "langevn"], "Did you mean 'langevin'"),
        ("mdsm", ["--steps", "0"], "--steps"),
        ("mdsm", ["--temperature", "-1"], "temperature must be 0 or more"),
        ("mdsm", ["--trace", "a.png"], "name the same file"),
        ("vae", ["--trace", "b.png"], "draws from codes, not by chains"),
        ("vae", ["--no-jump"], "draws from codes, not by chains"),
        ("vae", ["--sampler", "langevin"], "draws from codes, not by chains"),
    ],
)
def test_what_cannot_be_sampled_is_a_usage_error(
    saved, run, tmp_path, monkeypatch, architecture, words, reason
):
    folder = saved(architecture)
    monkeypatch.chdir(tmp_path)
    code, out, err = run("sample", folder, "-o", "a.png", *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert not list(tmp_path.glob("*.png"))


def test_sample_needs_a_place(saved, run):
    code, _, err = run("sample", saved("mdsm"))
    assert code == 2
    assert "--output" in err


def test_denoise_shows_the_jump_of_the_model(saved, run, tmp_path, images):
    folder, output = saved("mdsm"), tmp_path / "a.png"
    code, out, _ = run(
        "denoise", folder, images, "--sigma", 0.3, "--seed", 5, "-o", output, "--json"
    )
    facts = json.loads(out)
    assert (code, facts["sigma"], facts["added"], facts["skipped"]) == (0, 0.3, True, [])
    assert len(facts["images"]) == 3
    grid = zoo.denoise(folder, [str(images)], sigma=0.3, seed=5)
    clean, noisy, made = grid.images.split(SIZE, dim=2)
    assert grid.images.shape == (3, 1, 3 * SIZE, SIZE)
    model = zoo.from_pretrained(folder)
    whole = torch.zeros(3, 1, 8, 8)
    for number in range(3):
        pixels = pixels_of(images / f"{number}.png")
        whole[number, 0, 1:-1, 1:-1] = torch.from_numpy(pixels.copy()).float() / 255
    given = whole + 0.3 * torch.randn(whole.shape, generator=torch.Generator().manual_seed(5))
    expected = model.denoise(given, 0.3)
    for shown, values in ((clean, whole), (noisy, given), (made, expected)):
        inside = values[..., 1:-1, 1:-1]
        assert torch.equal(shown, (inside.clamp(0, 1) * 255).round().to(torch.uint8))
    error = (expected - whole)[..., 1:-1, 1:-1].square().mean().item()
    assert facts["mean_squared_error"] == pytest.approx(error, abs=1e-5)
    assert facts["mean_squared_error_noisy"] == pytest.approx(0.09, rel=0.3)


def test_noisy_images_get_no_more_noise(saved, run, tmp_path, images):
    folder = saved("mdsm")
    code, out, _ = run("denoise", folder, images, "--noisy", "-o", tmp_path / "a.png", "--json")
    facts = json.loads(out)
    assert (code, facts["added"], facts["sigma"]) == (0, False, 0.1)
    assert "mean_squared_error" not in facts
    grid = zoo.denoise(folder, [str(images)], noisy=True)
    given, _ = grid.images.split(SIZE, dim=2)
    assert (given[0, 0].numpy() == pixels_of(images / "0.png")).all()


@pytest.mark.parametrize("mask", ["left", "right", "lower", "center", "mask.png"])
def test_inpainting_keeps_what_is_seen(saved, run, tmp_path, images, mask):
    folder = saved("mdsm")
    hidden = np.zeros((SIZE, SIZE), bool)
    places = {
        "left": np.s_[:, :3],
        "right": np.s_[:, 3:],
        "lower": np.s_[3:],
        "center": np.s_[1:5, 1:5],
    }
    if mask in places:
        hidden[places[mask]] = True
    else:
        hidden[0, 4] = True
        Image.fromarray(hidden).save(tmp_path / mask)
        mask = str(tmp_path / mask)
    words = ("inpaint", folder, images, "--mask", mask, "--steps", 3)
    code, out, _ = run(*words, "-o", tmp_path / "a.png", "--json")
    facts = json.loads(out)
    assert (code, facts["steps"], facts["hidden"]) == (
        0,
        3,
        pytest.approx(hidden.mean(), abs=1e-5),
    )
    grid = zoo.inpaint(folder, [str(images)], mask=mask, steps=3)
    whole, seen, made = (part.numpy()[:, 0] for part in grid.images.split(SIZE, dim=2))
    assert (whole[:, ~hidden] == made[:, ~hidden]).all()
    assert (whole[:, ~hidden] == seen[:, ~hidden]).all()
    assert (seen[:, hidden] == 128).all()
    assert (made[:, hidden] != whole[:, hidden]).any()
    error = np.square((made / 255.0 - whole / 255.0)[:, hidden]).mean()
    assert facts["mean_squared_error"] == pytest.approx(error, abs=0.01)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ("lowr", "Did you mean 'lower'"),
        ("black.png", "hides nothing"),
        ("white.png", "everything"),
    ],
)
def test_masks_that_are_none_are_refused(saved, run, tmp_path, images, monkeypatch, mask, reason):
    monkeypatch.chdir(tmp_path)
    for name, value in (("black", 0), ("white", 255)):
        Image.new("L", (SIZE, SIZE), value).save(f"{name}.png")
    code, _, err = run("inpaint", saved("mdsm"), images, "--mask", mask, "-o", "a.png")
    assert code == 2
    assert reason in err
    assert not (tmp_path / "a.png").exists()


def test_a_mask_is_not_overwritten(saved, run, tmp_path, images):
    mask = tmp_path / "mask.png"
    Image.new("L", (SIZE, SIZE), 255).save(mask)
    assert run("inpaint", saved("mdsm"), images, "--mask", mask, "-o", mask).code == 7


def test_energies_are_those_of_the_model(saved, run, images):
    folder = saved("mdsm")
    code, out, _ = run("energy", folder, images, "--json", "-q")
    facts = json.loads(out)
    model = zoo.from_pretrained(folder)
    whole = torch.zeros(3, 1, 8, 8)
    for number in range(3):
        pixels = torch.from_numpy(pixels_of(images / f"{number}.png").copy())
        whole[number, 0, 1:-1, 1:-1] = pixels.float() / 255
    expected = model.energy(whole).tolist()
    assert code == 0
    assert [row["energy"] for row in facts["images"]] == pytest.approx(
        expected, rel=1e-5, abs=1e-5
    )
    assert facts["mean_energy"] == pytest.approx(sum(expected) / 3, rel=1e-5, abs=1e-5)
    assert facts["log_z"] is None
    assert facts["images"][0]["log_density"] is None
    model.store_log_z(4, num_temperatures=2)
    model.save_pretrained(folder)
    facts = zoo.energy(folder, [str(images)]).facts
    normalized = model.log_density(whole, normalized=True).tolist()
    assert model.stored_log_z.value == -model.constant.item()
    found = [row["log_density"] for row in facts["images"]]
    assert found == pytest.approx(normalized, rel=1e-5, abs=1e-4)
    assert facts["log_z"]["standard_error"] == pytest.approx(model.constant_error.item())
    out = run("energy", folder, images).out
    assert f"{expected[0]:.2f}" in out
    assert f"{normalized[0]:.2f}" in out


@pytest.mark.parametrize("data", [None, pytest.param("grid-2d", marks=pytest.mark.slow)])
def test_one_image_shows_what_a_model_of_the_plane_knows(saved, run, tmp_path, data):
    folder, output = saved("dde", "vectors"), tmp_path / "a.png"
    words = () if data is None else ("--data", data)
    code, out, _ = run("energy", folder, "--grid", "-n", 50, *words, "-o", output, "--json")
    facts = json.loads(out)
    assert (code, facts["data"], facts["sampler"]) == (0, data, "generator")
    assert facts["log_z"]["standard_error"] > 0
    height, width, _ = pixels_of(output).shape
    assert round(width / height) == (3 if data is None else 4)
    again = zoo.energy(folder, grid=True, number=50, data=data)
    assert torch.equal(again.images[0].permute(1, 2, 0)[:5, :5], torch.full((5, 5, 3), 255).byte())


def test_arrows_point_uphill_and_stay_apart():
    from zoo.evaluation.plane import arrows

    score = torch.tensor([[1.0, 0.0], [0.0, -1e3], [1e-4, 0.0]])
    found = arrows(score, 0.5)
    assert (found.norm(dim=1) < 0.5).all()
    assert (found * score).sum(1).gt(0).all()
    assert found.norm(dim=1).diff()[0] > 0


@pytest.mark.parametrize(
    ("kind", "words", "reason"),
    [
        ("images", [], "give images, or --grid"),
        ("images", ["--grid"], "--grid and --output go together"),
        ("images", ["-o", "a.png"], "--grid and --output go together"),
        ("images", ["--grid", "-o", "a.png"], "is a model of images"),
        ("images", ["IMAGES", "--grid", "-o", "a.png"], "give images, or --grid"),
        ("images", ["IMAGES", "--data", "grid-2d"], "leave it out"),
        ("plane", ["IMAGES"], "is a model of vectors"),
        ("plane", ["--grid", "-o", "a.png", "--data", "grid-3d"], "Did you mean 'grid-2d'"),
    ],
)
def test_what_has_no_energy_is_a_usage_error(
    saved, run, tmp_path, images, monkeypatch, kind, words, reason
):
    folder = saved("mdsm") if kind == "images" else saved("dde", "vectors")
    monkeypatch.chdir(tmp_path)
    words = [images if word == "IMAGES" else word for word in words]
    code, out, err = run("energy", folder, *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert not list(tmp_path.glob("*.png"))


VERBS = {
    "denoise": ["--sigma", "0.3", "-o", "nowhere/a.png"],
    "inpaint": ["--mask", "left", "-o", "nowhere/a.png"],
    "energy": [],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_without_an_energy_is_refused_by_name(saved, run, images, verb):
    folder = saved("vae")
    code, _, err = run(verb, folder, images, *VERBS[verb])
    assert code == 2
    assert str(folder) in err
    assert "dde, mdsm" in err


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_of_points_reads_no_images(saved, run, images, verb):
    folder = saved("dde", "vectors")
    code, _, err = run(verb, folder, images, *VERBS[verb])
    assert code == 2
    assert "is a model of vectors" in err


def test_density_gives_energies_of_images(saved, run, tmp_path, images):
    folder = saved("mdsm")
    code, out, _ = run("density", folder, images, "--json", "-q")
    found = json.loads(out)
    expected = [row["energy"] for row in zoo.energy(folder, [str(images)]).facts["images"]]
    assert (code, found["method"], found["log_z"]) == (0, "energy", None)
    assert [row["energy"] for row in found["densities"]] == pytest.approx(expected, abs=1e-5)
    assert found["densities"][0]["log_prob"] is None
    assert found["summary"]["energy"] == pytest.approx(sum(expected) / 3, abs=1e-5)
    assert "unknown constant" in run("density", folder, images).out


def test_density_of_points_is_normalised_with_its_error(saved, run, tmp_path):
    from zoo.data.planar import draw_split

    folder, table = saved("dde", "vectors"), tmp_path / "a.parquet"
    words = ("density", folder, "--data", "gaussians-2d", "--split", "test[:5]")
    found = json.loads(run(*words, "--json", "-q").out)
    model = zoo.from_pretrained(folder)
    points, _ = draw_split("gaussians-2d", "test[:5]")
    expected = model.log_density(points, normalized=True).tolist()
    assert [row["log_prob"] for row in found["densities"]] == pytest.approx(expected, abs=1e-4)
    assert found["log_z"]["value"] == pytest.approx(-model.constant.item())
    assert found["log_z"]["standard_error"] == pytest.approx(model.constant_error.item())
    assert "log Z" in run(*words, "--number", 3, "--parquet", table).out
    assert table.is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["IMAGES", "--samples", "5"], "samples: "),
        (["IMAGES", "--method", "annealed"], "gives its energy at once"),
        (["IMAGES", "--gap", "2"], "gap: "),
        (["IMAGES", "--binarize", "frozen"], "binarize: "),
        (["--data", "gaussians-2d"], "reads images, which data set gaussians-2d does not have"),
    ],
)
def test_what_an_energy_has_no_use_for_is_refused(saved, run, images, words, reason):
    words = [images if word == "IMAGES" else word for word in words]
    code, out, err = run("density", saved("mdsm"), *words)
    assert (code, out) == (2, "")
    assert reason in err


def test_a_model_of_points_has_densities_of_points_alone(saved, run, images):
    folder = saved("dde", "vectors")
    for words, reason in (
        ([images], "is a model of vectors"),
        (["--data", "mnist"], "reads points"),
    ):
        code, _, err = run("density", folder, *words)
        assert code == 2
        assert reason in err


@pytest.mark.parametrize("sigma", ["0", "-1", "nan", "inf"])
def test_noise_has_a_positive_spread(saved, run, tmp_path, images, sigma):
    code, _, err = run(
        "denoise", saved("mdsm"), images, "--sigma", sigma, "-o", tmp_path / "a.png"
    )
    assert code == 2
    assert "sigma must be positive" in err


def test_vectors_that_no_image_shows_are_refused(saved, run, tmp_path):
    folder = saved("mdsm", "vectors", input_shape=[3])
    code, _, err = run("sample", folder, "-o", tmp_path / "a.png")
    assert code == 2
    assert "vectors of 3 numbers" in err


def test_interpolation_ends_at_the_images(saved, images):
    grid = zoo.interpolate(
        saved("mdsm"), [str(images / f"{number}.png") for number in range(2)], steps=3
    )
    assert (grid.images[0, 0].numpy() == pixels_of(images / "0.png")).all()
    assert (grid.images[2, 0].numpy() == pixels_of(images / "1.png")).all()


def test_python_refuses_as_the_command_line_does(saved, images):
    with pytest.raises(UsageError, match="no mask"):
        zoo.inpaint(saved("mdsm"), [str(images)], mask="upside")
