"""The verbs that draw, as a person runs them."""

import json
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo import catalog
from zoo.errors import UsageError
from zoo.models.images.image_processing_genae import GenaeImageProcessor


def opened(path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


@pytest.fixture
def saved(tmp_path, tiny_config):
    """`saved("eae", **config)`: the folder of a random model that reads 14 x 14 images."""

    def save(architecture, processor=None, **overrides):
        folder = tmp_path / architecture
        config = tiny_config(architecture, **overrides)
        model = catalog.load(catalog.ARCHITECTURES[architecture].model)(config)
        model.save_pretrained(folder)
        settings = processor or {"size": 14, "pad_size": 16}
        GenaeImageProcessor(num_channels=config.num_channels, **settings).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def digits(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_sample_writes_the_images_that_the_model_draws(saved, run, tmp_path):
    folder, output = saved("eae"), tmp_path / "new" / "grid.png"
    code, out, err = run("sample", folder, "-n", 9, "--seed", 3, "-o", output)
    assert (code, out) == (0, f"{output}\n")
    assert err.splitlines()[-1].startswith("try: genae")
    from zoo import EAEModel

    drawn = EAEModel.from_pretrained(folder).sample(9, seed=3)[..., 1:15, 1:15]
    grid = np.asarray(opened(output))
    scale = 64 // 14
    first = grid[2 : 2 + 14 * scale : scale, 2 : 2 + 14 * scale : scale]
    np.testing.assert_allclose(first, drawn[0, 0] * 255, atol=0.51)


def test_the_same_seed_draws_the_same_and_batches_do_not_matter(saved, run, tmp_path, monkeypatch):
    folder = saved("vae")
    outputs = [tmp_path / f"{name}.png" for name in "abc"]
    for output, seed in zip(outputs, (0, 0, 1), strict=True):
        assert run("sample", folder, "-n", 7, "--seed", seed, "-o", output)[0] == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert outputs[0].read_bytes() != outputs[2].read_bytes()
    monkeypatch.setattr("zoo.drawing.BATCH", 3)
    run("sample", folder, "-n", 7, "--seed", 0, "-o", outputs[2])
    difference = np.asarray(opened(outputs[2])).astype(int) - np.asarray(opened(outputs[0]))
    assert abs(difference).max() <= 1  # another batch size rounds otherwise


def test_json_names_the_seed_that_was_drawn(saved, run, tmp_path):
    code, out, err = run("sample", saved("ae"), "-n", 2, "-o", tmp_path / "a.png", "--json", "-q")
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["output"] == str(tmp_path / "a.png")
    assert (facts["number"], facts["sampler"]) == (2, "prior")
    assert isinstance(facts["seed"], int)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-n", 0], "-n"),
        (["-n", 100_001], "-n"),
        (["--sampler", "mixtrue"], "Did you mean 'mixture'"),
        (["--sampler", "mixture"], "has not been fitted"),
        (["--temperature", "-1"], "temperature must be 0 or more"),
        (["--temperature", "nan"], "temperature must be 0 or more"),
        (["--seed", "-1"], "--seed"),
        (["--columns", "0"], "--columns"),
    ],
)
def test_impossible_requests_are_usage_errors(saved, run, tmp_path, words, reason):
    code, out, err = run("sample", saved("eae"), "-o", tmp_path / "a.png", *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert "Traceback" not in err
    assert not (tmp_path / "a.png").exists()


def test_labels_are_the_rows_of_a_grid(saved, run, tmp_path):
    folder, output = saved("vae", prior="class_means", num_labels=3), tmp_path / "grid.png"
    code, out, _ = run("sample", folder, "--seed", 3, "-o", output, "--json")
    facts = json.loads(out)
    assert (code, facts["number"], facts["labels"]) == (0, 24, [0, 1, 2])
    grid = zoo.sample(folder, seed=3)
    assert grid.columns == 8
    from zoo import VAEModel

    labels = [place // 8 for place in range(24)]
    drawn = VAEModel.from_pretrained(folder).sample(24, seed=3, labels=labels)
    difference = grid.images.float() - 255 * drawn[..., 1:15, 1:15]
    assert difference.abs().max() < 0.51
    code, out, _ = run("sample", folder, "--labels", "2,0-1", "-n", 5, "-o", output, "--json")
    facts = json.loads(out)
    assert (code, facts["labels"], facts["number"]) == (0, [2, 0, 1], 5)
    assert zoo.sample(folder, 5, labels=[2, 0, 1]).columns == 2
    one = zoo.sample(folder, 4, labels=[1])
    assert (one.columns, one.facts["labels"]) == (4, [1])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("3", "knows 0 to 2, got 3"),
        ("a", "write 3, 0,2 or 0-9"),
        ("1-", "write 3, 0,2 or 0-9"),
        ("2-1", "must rise"),
        ("0-99999999", "must rise, by less than"),
    ],
)
def test_labels_that_there_are_not_are_usage_errors(saved, run, tmp_path, labels, reason):
    folder = saved("vae", prior="class_means", num_labels=3)
    code, out, err = run("sample", folder, "--labels", labels, "-o", tmp_path / "a.png")
    assert (code, out) == (2, "")
    assert reason in err
    assert not (tmp_path / "a.png").exists()


def test_labels_of_a_model_that_knows_none_are_usage_errors(saved, run, tmp_path):
    code, _, err = run("sample", saved("eae"), "--labels", 1, "-o", tmp_path / "a.png")
    assert (code, "knows none; leave them out" in err) == (2, True)
    dde = saved("dde", processor={"size": 5})
    code, _, err = run("sample", dde, "--labels", 1, "-o", tmp_path / "a.png")
    assert (code, "draws by chains, which know none" in err) == (2, True)


def test_what_the_parts_of_a_model_cannot_do_is_said_in_words(run, tmp_path, digits):
    from tests.tiny import AS_GRAPHS
    from zoo import AEConfig, AEModel

    AEModel(AEConfig(**AS_GRAPHS | {"decoder_layers": None})).save_pretrained(tmp_path / "half")
    GenaeImageProcessor(num_channels=1, size=5).save_pretrained(tmp_path / "half")
    for verb, given in (("sample", []), ("reconstruct", [digits])):
        code, _, err = run(verb, tmp_path / "half", *given, "-o", tmp_path / "a.png")
        assert code == 2
        assert f"half cannot {verb}: this model has no decoder: it was made of the encoder" in err
        assert "genae probe" in err


def test_a_wrong_ending_is_refused(saved, run, tmp_path):
    code, _, err = run("sample", saved("eae"), "-o", tmp_path / "a.svg")
    assert code == 2
    assert ".png" in err


@pytest.mark.parametrize("verb", ["sample", "reconstruct", "interpolate"])
def test_a_classifier_says_what_it_is(saved, run, tmp_path, digits, verb):
    images = [] if verb == "sample" else [digits]
    code, _, err = run(verb, saved("classifier"), *images, "-o", tmp_path / "a.png")
    assert code == 2
    assert f"is a convolutional classifier and cannot {verb}" in err


def test_an_unknown_model_is_not_found(run, tmp_path):
    code, _, err = run("sample", "genae/eae-mnits", "-o", tmp_path / "a.png")
    assert code == 3
    assert "eae-mnist" in err


def test_a_model_without_its_processor_is_refused(saved, run, tmp_path):
    folder = saved("eae")
    (folder / "preprocessor_config.json").unlink()
    code, _, err = run("sample", folder, "-o", tmp_path / "a.png")
    assert code == 3
    assert "preprocessor_config.json" in err


@pytest.mark.parametrize(
    "content",
    ["", "{", "[" * 100_000, "[]", "null", '"size"', '{"size": -3}', '{"num_channels": "grey"}'],
    ids=lambda content: content[:9],
)
def test_a_malformed_processor_is_named(saved, run, tmp_path, content):
    folder = saved("eae")
    (folder / "preprocessor_config.json").write_text(content)
    code, _, err = run("sample", folder, "-o", tmp_path / "a.png")
    assert code == 5
    assert str(folder / "preprocessor_config.json") in err


def test_a_folder_without_weights_is_not_found(saved, run, tmp_path):
    folder = saved("eae")
    (folder / "model.safetensors").unlink()
    code, _, err = run("sample", folder, "-o", tmp_path / "a.png")
    assert code == 3
    assert "no weights" in err


def test_hints_can_be_pasted_whatever_a_model_is_called(saved, run, tmp_path, digits):
    folder = saved("eae").rename(tmp_path / "it's $HOME; a model")
    images = [digits / "0.png", digits / "1.png"]
    for words in (
        ("sample", folder),
        *((v, folder, *images) for v in ("reconstruct", "interpolate")),
    ):
        code, _, err = run(*words, "-o", tmp_path / "a.png")
        assert code == 0
        assert str(folder) in shlex.split(err.splitlines()[-1])


def test_a_processor_of_another_shape_is_refused(saved, run, tmp_path):
    folder = saved("eae", processor={"size": 14})
    code, _, err = run("sample", folder, "-o", tmp_path / "a.png")
    assert code == 2
    assert "14 pixels a side" in err


def test_reconstruct_reports_what_python_measures(saved, run, tmp_path, digits):
    folder, output = saved("vae"), tmp_path / "pairs.png"
    code, out, _ = run("reconstruct", folder, digits, "-o", output, "--json")
    assert code == 0
    facts = json.loads(out)
    from zoo import GenaeImageProcessor, VAEModel

    processor = GenaeImageProcessor.from_pretrained(folder)
    images = [opened(path) for path in sorted(digits.iterdir())]
    values = processor(images)["pixel_values"]
    made = VAEModel.from_pretrained(folder).reconstruct(values)
    error = processor.crop_padding((made - values).square()).mean()
    assert facts["mean_squared_error"] == pytest.approx(error.item(), abs=2e-6)
    assert [entry["file"] for entry in facts["images"]] == [
        str(path) for path in sorted(digits.iterdir())
    ]
    assert opened(output).size[0] > 0


def test_bad_images_are_skipped_in_a_folder_and_refused_by_name(saved, run, tmp_path, digits):
    folder, output = saved("ae"), tmp_path / "pairs.png"
    bad = digits / "bad.png"
    bad.write_bytes(b"")
    code, out, err = run("reconstruct", folder, digits, "-o", output)
    assert (code, out) == (0, f"{output}\n")
    assert f"skipped {bad}: is empty" in err
    assert "skipped 1 of 6 files" in err
    code, out, err = run("reconstruct", folder, digits / "0.png", bad, "-o", output)
    assert (code, out) == (2, "")
    assert str(bad) in err
    code, _, err = run("reconstruct", folder, digits / "0.png", bad, "-o", output, "--skip-bad")
    assert code == 0
    assert run("reconstruct", folder, tmp_path / "no.png", "-o", output)[0] == 3


def test_interpolate_ends_at_the_reconstructions(saved, run, tmp_path, digits):
    folder, output = saved("eae"), tmp_path / "walk.png"
    files = [digits / f"{number}.png" for number in range(4)]
    code, out, _ = run("interpolate", folder, *files, "--steps", 5, "-o", output)
    assert (code, out) == (0, f"{output}\n")
    from zoo import EAEModel, GenaeImageProcessor

    values = GenaeImageProcessor.from_pretrained(folder)([opened(f) for f in files])
    made = EAEModel.from_pretrained(folder).reconstruct(values["pixel_values"])
    ends = (made[:, 0, 1:15, 1:15] * 255).reshape(2, 2, 14, 14)
    scale = 64 // 14
    step = 14 * scale + 2
    grid = np.asarray(opened(output))
    assert grid.shape == (2 * step + 2, 5 * step + 2)
    for row in range(2):
        for end, column in enumerate((0, 4)):
            top, left = 2 + row * step, 2 + column * step
            cut = grid[top : top + step - 2 : scale, left : left + step - 2 : scale]
            np.testing.assert_allclose(cut, ends[row, end], atol=1.01)


def test_images_without_a_partner(saved, run, tmp_path, digits):
    folder, output = saved("eae"), tmp_path / "walk.png"
    code, out, err = run("interpolate", folder, digits, "-o", output, "--json")
    assert code == 0
    assert len(json.loads(out)["pairs"]) == 2
    assert f"no partner: {digits / '4.png'}" in err
    assert run("interpolate", folder, digits / "0.png", "-o", output)[0] == 2
    assert run("interpolate", folder, *[digits / "0.png"] * 3, "-o", output)[0] == 2
    assert run("interpolate", folder, digits, "--steps", 1, "-o", output)[0] == 2
    code, _, err = run("interpolate", folder, digits, "--mode", "slurp", "-o", output)
    assert code == 2
    assert "slerp" in err


def test_the_shipped_examples_go_by_name(saved, run, tmp_path, monkeypatch):
    folder = saved("ae")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("reconstruct", folder, "examples-mnist", "-o", "pairs.png", "--json", "-q")
    assert code == 0
    assert len(json.loads(out)["images"]) == 64


def test_colour_goes_through(saved, run, tmp_path, digits):
    folder = saved("ae", num_channels=3)
    assert run("sample", folder, "-n", 2, "-o", tmp_path / "a.png")[0] == 0
    assert run("reconstruct", folder, digits, "-o", tmp_path / "b.png")[0] == 0
    assert opened(tmp_path / "b.png").mode == "RGB"
    assert torch.is_grad_enabled()


def test_the_functions_make_what_the_verbs_write(saved, run, tmp_path, digits):
    folder, images = saved("eae"), [str(digits)]
    for verb, words, grid in (
        ("sample", ("-n", 5, "--seed", 2), zoo.sample(folder, 5, seed=2)),
        ("reconstruct", (digits,), zoo.reconstruct(folder, images)),
        ("interpolate", (digits, "--steps", 3), zoo.interpolate(folder, images, steps=3)),
        ("neighbors", (digits, "-n", 2), zoo.neighbors(folder, images, 2)),
    ):
        code, out, _ = run(verb, folder, *words, "-o", tmp_path / "verb.png", "--json")
        assert code == 0
        assert set(json.loads(out)) >= set(grid.facts) - {"fitted", "left_out", "samples"}
        assert grid.images.dtype == torch.uint8
        assert (
            grid.save(tmp_path / "call.png").read_bytes() == (tmp_path / "verb.png").read_bytes()
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda name: zoo.sample(name, 0),
        lambda name: zoo.sample(name, sampler="piror"),
        lambda name: zoo.interpolate(name, [], steps=1),
        lambda name: zoo.neighbors(name, [], by="angle"),
    ],
)
def test_arguments_are_refused_before_a_model_is_looked_for(call):
    with pytest.raises(UsageError):
        call("nobody/nothing")
