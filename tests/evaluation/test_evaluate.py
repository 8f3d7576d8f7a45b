"""Cards against measurements: planning, tolerances, the command line."""

import json
import shlex
import shutil
import tomllib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from zoo import catalog
from zoo.card import Card, is_within
from zoo.card.toml import setting
from zoo.data.identity import WHOLE, fingerprint
from zoo.errors import NotFoundError, UsageError
from zoo.evaluation import compare, evaluate
from zoo.evaluation.results import results_toml
from zoo.evaluation.subject import Context, Subject

HEAD = """
schema = 1
id = "genae/tiny"
version = "1.0.0"
architecture = "{architecture}"
task = "unconditional-image-generation"
status = "experimental"
license = "apache-2.0"
summary = "Untrained."
intended_use = "Tests."
limits = "All."
[config]
[processor]
[data]
dataset = '{data}'
train_split = "train"
license = "mit"
binarization = "{binarization}"
[train]
"""

RESULT = """
[[results]]
dataset = '{data}'
split = "{split}"
metric = "{metric}"
unit = "as it is"
value = {value}
tolerance = {tolerance}
seed = {seed}
options = {options}
protocol = "genae evaluate genae/tiny"
measured = {{ date = "2026-01-01", device = "cpu", genae = "0" }}
"""


@pytest.fixture
def save(make_model, processor, image_folder, tmp_path):
    """`save("vae", results, **config)`: the folder of a tiny model whose card states results."""

    def make(architecture, *results, binarization="none", **config):
        folder = tmp_path / f"tiny-{architecture}"
        make_model(architecture, **config).save_pretrained(folder)
        processor.save_pretrained(folder)
        text = HEAD.format(architecture=architecture, data=image_folder, binarization=binarization)
        defaults = {"data": image_folder, "split": "test", "seed": 0, "options": "{}"}
        text += "".join(RESULT.format(**{**defaults, **result}) for result in results)
        (folder / "card.toml").write_text(text, encoding="utf-8")
        return folder

    return make


def state(metric, value, tolerance, **rest):
    return {"metric": metric, "value": value, "tolerance": tolerance, **rest}


def run(*arguments):
    """Run `genae` and return its exit code."""
    from zoo.cli import app

    with pytest.raises(SystemExit) as stopped:
        app([str(argument) for argument in arguments])
    return stopped.value.code


DEFAULTS = {
    "ae": ["reconstruction_mse", "entropy_gap"],
    "eae": ["reconstruction_mse", "entropy_gap"],
    "vae": ["reconstruction_mse", "entropy_gap", "elbo", "iwae"],
    "classifier": ["accuracy", "macro_f1"],
    "infomax": ["probe_accuracy"],
}


@pytest.mark.parametrize("architecture", DEFAULTS)
def test_a_card_without_results_is_measured_by_default(save, architecture, image_folder):
    folder = save(architecture, binarization="stochastic")
    found = evaluate(folder, quiet=True)
    assert [measurement.name for measurement in found] == DEFAULTS[architecture]
    for measurement in found:
        assert measurement.ok is None
        assert measurement.stated is None
        assert measurement.split == "test"
        assert measurement.dataset == str(image_folder)


def test_the_default_split_is_the_train_split_where_there_is_no_test(save, tmp_path):
    from PIL import Image

    only = tmp_path / "only"
    only.mkdir()
    for number in range(6):
        Image.new("L", (12, 12), 40 * number).save(only / f"{number}.png")
    folder = save("ae")
    card = (folder / "card.toml").read_text()
    start = card.index("dataset = ")
    card = card[:start] + f"dataset = '{only}'" + card[card.index("\n", start) :]
    (folder / "card.toml").write_text(card)
    assert {m.split for m in evaluate(folder, quiet=True)} == {"train"}


def again_of(block, *place):
    """Whether the command of a result says all that it was measured with."""
    model, *words = shlex.split(block["protocol"].removeprefix("genae evaluate "))
    values = {word: words[i + 1] for i, word in enumerate(words) if word.startswith("--")}
    options = dict(setting(words[i + 1]) for i, word in enumerate(words) if word == "--set")
    asked = [values["--metric"], *(("--data", values["--data"]) if "--data" in values else ())]
    same = options == block["options"] and values.get("--split", "test") == block["split"]
    return same and asked == [block["metric"], *place] and model == "genae/tiny"


def test_what_was_measured_can_be_stated_and_measured_again(save, image_folder):
    """The TOML blocks close the circle: paste them into the card, and the card holds."""
    first = evaluate(save("vae", binarization="stochastic"), quiet=True)
    text = results_toml(first, "genae/tiny", device="cpu", version="0.1.0")
    for block in tomllib.loads(text)["results"]:
        assert again_of(block, "--data", block["dataset"])  # no card said it
        assert block["measured"]["genae"] == "0.1.0"
    folder = save("vae", binarization="stochastic")
    with open(folder / "card.toml", "a") as file:
        file.write(text)
    assert len(Card.load(folder).results) == len(first)
    again = evaluate(folder, quiet=True)
    assert all(measurement.ok and measurement.stated is not None for measurement in again)
    assert [m.measured for m in again] == [m.measured for m in first]
    assert [m.options for m in again] == [m.options for m in first]


def test_values_are_within_their_tolerance_or_not():
    assert is_within(0.3, 0.2, 0.1)
    assert is_within(1.0, 1.0, 0.0)
    assert not is_within(0.3001, 0.2, 0.1)
    assert not is_within(float("nan"), 0.2, 0.1)
    assert not is_within(float("inf"), 0.2, 0.1)


def test_a_result_stated_twice_with_other_options_is_measured_twice(save):
    folder = save(
        "eae",
        state("reconstruction_mse", 0.5, 1, options="{ num_images = 10 }"),
        state("reconstruction_mse", 0.5, 1, options="{ num_images = 20 }", seed=4),
        state("entropy_gap", 0, 1000),
    )
    found = evaluate(folder, metrics=["reconstruction_mse"], quiet=True)
    assert [(m.options["num_images"], m.seed) for m in found] == [(10, 0), (20, 4)]
    assert all(m.ok for m in found)


def test_another_split_is_compared_with_nothing(save):
    folder = save("ae", state("reconstruction_mse", 99, 0.1, options="{ num_images = 7 }"))
    (elsewhere,) = evaluate(folder, split="train", quiet=True)
    assert (elsewhere.stated, elsewhere.ok, elsewhere.split) == (None, None, "train")
    assert elsewhere.options["num_images"] == 7
    (same,) = evaluate(folder, split="test", quiet=True)
    assert (same.stated, same.ok, same.apart) == (99, False, "")


def test_a_folder_without_a_card_needs_data(save, image_folder):
    folder = save("ae")
    (folder / "card.toml").unlink()
    with pytest.raises(UsageError, match="--data"):
        evaluate(folder, quiet=True)
    assert len(evaluate(folder, data=str(image_folder), quiet=True)) == 2


@pytest.mark.parametrize(
    ("architecture", "metrics", "message"),
    [
        ("ae", ["reconstruction_msе"], "reconstruction_mse"),  # noqa: RUF001
        ("ae", ["precison"], "'precision'"),
        ("ae", ["elbo"], "elbo measures vae"),
        ("ae", ["accuracy"], "measure it with reconstruction_mse"),
        ("classifier", ["recall"], "classifier"),
        ("vae", ["bits_per_dim"], "discretized_logistic"),
        ("vae", ["elbo"], "cross-entropy"),
    ],
)
def test_metrics_that_do_not_exist_or_fit_are_refused(save, architecture, metrics, message):
    with pytest.raises(UsageError, match=message):
        evaluate(save(architecture), metrics=metrics, quiet=True)


def test_an_unknown_option_on_a_card_is_refused_before_anything_is_measured(save):
    folder = save(
        "ae",
        state("reconstruction_mse", 0, 9),
        state("entropy_gap", 0, 9, options="{ batchsize = 3 }"),
    )
    with pytest.raises(UsageError, match="batch_size"):
        evaluate(folder, quiet=True)


def test_missing_data_is_not_found(save):
    with pytest.raises(NotFoundError):
        evaluate(save("ae"), data="nobody/nothing", quiet=True)


def test_the_command_ends_with_9_when_a_stated_value_is_off(save, capsys):
    folder = save("ae", state("reconstruction_mse", 9, 0.01), state("entropy_gap", 0, 1e6))
    assert run("evaluate", folder, "--quiet") == 9
    printed = capsys.readouterr()
    assert "9.00000 ± 0.01" in printed.out
    assert "OFF" in printed.out
    assert "outside" in printed.err
    assert "reconstruction_mse on" in printed.err
    assert "entropy_gap" not in printed.err


def test_the_command_ends_with_0_when_all_is_within(save, capsys):
    folder = save("ae", state("entropy_gap", 0, 1e6))
    assert run("evaluate", folder) == 0
    printed = capsys.readouterr()
    assert "ok" in printed.out
    assert "outside" not in printed.err


def test_json_and_toml_of_the_command(save, capsys):
    folder = save("eae", state("reconstruction_mse", 9, 0.01))
    assert run("evaluate", folder, "--json", "--quiet") == 9
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["stated"], row["ok"], row["floor"]) == (9, False, None)
    assert 0 < row["measured"] < 1
    assert run("evaluate", folder, "--toml", "--metric", "entropy_gap") == 0
    (block,) = tomllib.loads(capsys.readouterr().out)["results"]
    assert block["metric"] == "entropy_gap"
    assert again_of(block)
    assert run("evaluate", folder, "--toml", "--json") == 2


def test_the_command_knows_its_metrics(capsys):
    assert run("evaluate", "genae/eae-mnist", "--metric", "ibo") == 2
    assert "'elbo'" in capsys.readouterr().err


def test_fidelity_through_a_card_names_features_and_shows_the_floor(save, make_model, capsys):
    classifier = save("classifier")
    options = f"{{ features = '{classifier}', num_images = 30, sampler = 'prior' }}"
    folder = save("ae", *(state(m, 0, 1e9, options=options) for m in ("coverage", "recall")))
    found = evaluate(folder, quiet=True)
    assert [m.metric for m in found] == [
        f"{name} ({classifier} features)" for name in ("coverage", "recall")
    ]
    assert all(0 <= m.floor <= 1 for m in found)
    assert run("evaluate", folder) == 0
    assert "real train images" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named():
    from zoo.errors import MissingDependencyError

    with pytest.raises(UsageError, match="no device 'nope'; use cpu"):
        evaluate("genae/classifier-mnist", device="nope")
    for device in ("xpu:7", "meta"):
        with pytest.raises(MissingDependencyError, match=f"device {device} cannot be used"):
            evaluate("genae/classifier-mnist", device=device)


def test_skipped_images_are_counted_even_when_quiet(save, image_folder, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(image_folder, data)
    (data / "test" / "0007-1.png").write_bytes(b"no image")
    words = ["evaluate", save("ae"), "--metric", "reconstruction_mse", "--split", "test", "-q"]
    for place, said in ((image_folder, []), (data, ["skipped 1 of 60 images"])):
        capsys.readouterr()
        assert run(*words, "--data", place) == 0
        lines = capsys.readouterr().err.splitlines()
        assert [line for line in lines if "skipped" in line] == said


def test_the_protocol_can_be_pasted_whatever_the_model_is_called(save, image_folder):
    measured = evaluate(save("ae"), metrics=["reconstruction_mse"], quiet=True)
    text = results_toml(measured, "it's a model", device="cpu", version="0.1.0")
    [block] = tomllib.loads(text)["results"]
    assert shlex.split(block["protocol"])[:3] == ["genae", "evaluate", "it's a model"]


def test_options_and_seeds_of_the_command_line_are_measured_and_compared(save, capsys):
    once = {"options": '{ binarization = "none", num_images = 7 }', "seed": 5}
    folder = save("ae", state("reconstruction_mse", 1.0, 2.0, **once))
    measured = ("evaluate", folder, "--metric", "reconstruction_mse", "--json", "--quiet")
    assert run(*measured, "--set", "num_images=[7, 9]", "--seed", "5", "--seed", "6") == 0
    found = json.loads(capsys.readouterr().out)
    made = [(one["seed"], one["options"]["num_images"]) for one in found]
    assert made == [(5, 7), (5, 9), (6, 7), (6, 9)]
    assert [one["stated"] for one in found] == [1.0, None, None, None]
    assert len({one["measured"] for one in found}) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "num_images=7"), "--metric"),
        (("--seed", "7"), "--metric"),
        (("--metric", "reconstruction_mse", "--set", "num_images"), "key=value"),
        (("--metric", "reconstruction_mse", "--set", "num_image=7"), "num_images"),
        (("--metric", "reconstruction_mse", "--set", "num_images=x"), "whole number"),
        (("--metric", "reconstruction_mse", "--restate"), "--record"),
    ],
)
def test_wrong_options_of_the_command_line_are_refused(save, capsys, arguments, words):
    assert run("evaluate", save("ae"), *arguments) == 2
    assert words in capsys.readouterr().err


def test_a_model_of_vectors_has_no_images_to_measure():
    with pytest.raises(UsageError, match="model of vectors"):
        evaluate("genae/dde-gaussians-2d", quiet=True)


def state_mse(value, num_images):
    options = f'{{ binarization = "none", num_images = {num_images} }}'
    return state("reconstruction_mse", value, 2.0, options=options)


def test_a_number_is_not_judged_by_another_protocol(save, capsys):
    """The card states 10,000 images, and the split has 60."""
    folder = save("ae", state_mse(0.5, 10_000))
    words = ("evaluate", folder, "--json")
    assert run(*words) == 0
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)
    assert (row["ok"], row["stated"], row["options"]["num_images"]) == (None, None, 60)
    assert "num_images 60 in place of 10000" in printed.err
    assert run(*words, "--require-stated") == 9
    assert "does not state reconstruction_mse on" in capsys.readouterr().err


def test_where_nothing_is_compared_a_line_says_so(save, capsys):
    folder = save("ae", state_mse(0.5, 60))
    measured = ("evaluate", folder, "--metric", "reconstruction_mse")
    assert run(*measured, "--require-stated") == 0
    assert "compared" not in capsys.readouterr().err
    assert run(*measured, "--set", "num_images=7", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["ok"] is None
    assert "nothing compared: the card states no number for this data" in printed.err


def test_data_is_known_by_its_files_wherever_it_lies(save, image_folder, tmp_path):
    folder = save("ae", state_mse(99.0, 60))
    copy = tmp_path / "elsewhere"
    shutil.copytree(image_folder, copy)
    (found,) = evaluate(folder, data=str(copy), quiet=True)
    assert (found.stated, found.ok, found.dataset) == (99.0, False, str(image_folder))
    (copy / "test" / "0000-0.png").unlink()
    other = tmp_path / "other"
    copy.rename(other)  # as files are hashed once
    (found,) = evaluate(folder, data=str(other), quiet=True)
    assert (found.stated, found.ok, found.dataset) == (None, None, str(other))


def test_a_data_set_is_found_beside_the_card(save, image_folder, tmp_path, monkeypatch):
    folder = save("ae", state_mse(0.5, 60))
    text = (folder / "card.toml").read_text().replace(str(image_folder), "../bars")
    (folder / "card.toml").write_text(text)
    shutil.copytree(image_folder, tmp_path / "bars")
    monkeypatch.chdir(folder)
    (found,) = evaluate(folder, quiet=True)
    assert (found.dataset, found.ok) == ("../bars", True)
    (same,) = evaluate(folder, data=str(tmp_path / "bars"), quiet=True)
    assert (same.measured, same.ok, same.dataset) == (found.measured, True, "../bars")


def test_measuring_on_the_images_of_training_is_told(save, image_folder, tmp_path, capsys):
    (tmp_path / "bars").mkdir()
    shutil.copytree(image_folder / "train", tmp_path / "bars" / "train")
    folder = save("ae")
    text = (folder / "card.toml").read_text().replace(str(image_folder), "../bars")
    (folder / "card.toml").write_text(text)
    evaluate(folder)
    told = "data set ../bars has no test split: measured on train, which the model was trained on"
    assert capsys.readouterr().err.splitlines().count(told) == 1


def test_models_are_compared_by_one_protocol_or_not_at_all(save, capsys):
    ae, eae = save("ae"), save("eae", state_mse(0.5, 60))
    words = ("evaluate", ae, eae, "--metric", "reconstruction_mse")
    assert run(*words) == 0
    printed = capsys.readouterr()
    single = [
        evaluate(model, metrics=["reconstruction_mse"], quiet=True)[0] for model in (ae, eae)
    ]
    for found in single:
        assert f"{found.measured:.5f}" in printed.out
    assert run(*words, "--set", "num_images=[7, 9]", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    made = [(row["model"], row["options"]["num_images"]) for row in rows]
    assert made == [(str(model), count) for count in (7, 9) for model in (ae, eae)]
    for wrong, said in (
        (("evaluate", ae, eae), "name it with --metric: reconstruction_mse"),
        ((*words, "--toml"), "--toml are of one model"),
        (("evaluate", ae, eae, "--metric", "elbo"), "elbo measures vae"),
        ((*words, "--set", "sampler=prior"), "no option 'sampler'"),
    ):
        assert run(*wrong) == 2
        assert said in capsys.readouterr().err


def test_what_would_not_be_measured_alike_is_not_compared(save, image_folder, tmp_path):
    ae = save("ae")
    gaussian = tmp_path / "gaussian"
    save("vae", likelihood="gaussian").rename(gaussian)
    vae = save("vae", binarization="stochastic")
    with pytest.raises(UsageError, match=r"binarization is stochastic for .* none for "):
        compare([vae, gaussian], ["elbo"], quiet=True)
    text = (ae / "card.toml").read_text()
    (ae / "card.toml").write_text(text.replace("dataset = ", "dataset = 'mnist'\n# "))
    with pytest.raises(UsageError, match="with --data and --split"):
        compare([vae, ae], ["reconstruction_mse"], split="test", quiet=True)
    settings = json.loads((ae / "preprocessor_config.json").read_text())
    (ae / "preprocessor_config.json").write_text(json.dumps({**settings, "size": 8}))
    with pytest.raises(UsageError, match=r"size is 12 for .* and 8 for "):
        compare([vae, ae], ["reconstruction_mse"], data=str(image_folder), quiet=True)


def test_an_architecture_that_says_nothing_of_itself_is_told_where_to_say_it(save, monkeypatch):
    silent = replace(catalog.find("ae"), can=())
    monkeypatch.setitem(catalog.ARCHITECTURES, "ae", silent)
    with pytest.raises(UsageError, match=r"'ae' in zoo/catalog.py .* in `can`, of encodes, "):
        evaluate(save("ae"), quiet=True)


@pytest.mark.parametrize("changed", [False, True])
def test_data_that_are_no_longer_those_of_the_card_are_told(tmp_path, capsys, changed):
    (tmp_path / "texts.txt").write_text("a\n")
    stated = "0" * 64 if changed else fingerprint(tmp_path / "texts.txt")
    data = SimpleNamespace(dataset="./texts.txt", sha256={WHOLE: stated})
    card = SimpleNamespace(id="me/toy", path=tmp_path / "card.toml", data=data, results=())
    context = Context(torch.nn.Identity(), None, card)
    context.note_other_files("./texts.txt")
    context.note_other_files("mnist")
    said = "texts.txt: is not the data that me/toy was trained on"
    assert (said in capsys.readouterr().err) == changed


def test_a_seed_chooses_images_and_noise_as_when_the_numbers_on_cards_were_measured():
    # Once a renamed word chose other images, and stated numbers were no longer found.
    numbers = SimpleNamespace(images=lambda *_: SimpleNamespace(pixels=torch.arange(10_000)))
    one = Subject(numbers, "numbers", "test", seed=0)
    assert one.pixels(4).tolist() == [7361, 1409, 5540, 4970]
    drawn = one.shared(
        range(2), "posterior", lambda _, noise: torch.randint(1000, (), generator=noise).item()
    )
    assert [*drawn] == [68, 917]
    images = one.binarizer("stochastic")(torch.full((8,), 0.5))
    assert images.tolist() == [1, 0, 1, 1, 0, 1, 1, 1]
