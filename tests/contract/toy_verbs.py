"""What a person does with the toys; run by test_five_places.py in a tree that has them."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

import zoo
from zoo import catalog
from zoo.card import Card
from zoo.cli import app
from zoo.evaluation.measure import measure, open_context
from zoo.evaluation.metrics.table import METRICS, defaults
from zoo.evaluation.planning import Request

EXAMPLES = "cards/examples/mnist"


@pytest.fixture
def said(run):
    """`said("sample", ...)`: what it printed; it must end well."""

    def call(*words):
        done = run(*words)
        assert done.code == 0, done.err
        return done.out

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The toy of images, trained from its card for one epoch."""
    folder = tmp_path_factory.mktemp("out") / "toy-image"
    with pytest.raises(SystemExit) as end:
        app(["train", "cards/toy-image", "--output", str(folder), "--quiet"])
    assert not end.value.code
    return folder


def test_both_are_listed_and_described(said):
    listed = json.loads(said("list", "--all", "--json"))
    assert {"genae/toy-image", "genae/toy-text"} <= {row["id"] for row in listed}
    assert "toy_image" in said("info", "genae/toy-image")
    assert "genae_toy_text" in said("info", "genae/toy-text")


def test_the_facades_have_every_class():
    assert zoo.ToyImageModel is zoo.models.ToyImageModel
    assert issubclass(zoo.ToyImageConfig, zoo.VAEConfig)
    assert {"ToyImageModel", "ToyImageConfig"} <= set(zoo.__all__) & set(dir(zoo))
    assert zoo.models.GenaeToyTextForCausalLM.config_class is zoo.models.GenaeToyTextConfig


def test_the_trained_folder_is_whole(trained, said):
    assert type(zoo.from_pretrained(trained)).__name__ == "ToyImageModel"
    assert zoo.ToyImageModel.from_pretrained(trained).config.pull == 0.001
    assert (trained / "samples.png").is_file()
    said("verify", trained)


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-n", "4", "--seed", "0", "--sampler", "mixture"),
        ("reconstruct", EXAMPLES),
        ("interpolate", f"{EXAMPLES}/0000-7.png", f"{EXAMPLES}/0001-2.png"),
        ("neighbors", EXAMPLES, "-n", "2"),
    ],
    ids=lambda words: words[0],
)
def test_verbs_that_draw(words, trained, said, tmp_path):
    verb, *rest = words
    said(verb, trained, *rest, "-o", tmp_path / "made.png")
    assert (tmp_path / "made.png").is_file()


#: Options that make a metric quick, or possible on the examples, which have one split.
OPTIONS = {
    "auroc": {"other": "examples-mnist", "other_split": "train[:32]", "num_samples": 2},
    "iwae": {"num_samples": 2},
    "probe_accuracy": {"probe": "knn", "fit_split": "train[:32]"},
}


def test_every_metric_that_applies(trained, said):
    applies = [m.name for m in METRICS.values() if m.refusal("toy_image", "bernoulli") is None]
    assert set(applies) >= {"reconstruction_mse", "elbo", "iwae", "auroc", "frechet_distance"}
    assert set(defaults("toy_image", "bernoulli")) <= set(applies)
    context = open_context(trained, Card.load(trained), device="cpu", quiet=True)
    for name in applies:
        options = OPTIONS.get(name, {})
        found = measure(context, Request(name, "examples-mnist", "train[32:]", options=options))
        assert math.isfinite(found.measured), name
    assert said("evaluate", trained, "--quiet")


def test_density_geometry_and_probes(trained, said):
    data = ("--data", "examples-mnist")
    of_four = ("--number", "4", "--samples", "4", "--binarize", "threshold")
    said("density", trained, *data, "--split", "train", *of_four)
    said("geometry", trained, *data, "--split", "train", "--number", "30")
    apart = ("--split", "train[32:]", "--fit-split", "train[:32]")
    said("probe", trained, *data, *apart, "--probe", "knn", "--quiet")


def test_it_is_recorded_published_and_fetched(trained, said, run, tmp_path):
    shutil.copytree(trained, own := tmp_path / "own")
    words = ("evaluate", own, "--metric", "reconstruction_mse", "--metric", "elbo")
    said(*words, "--record", "--quiet")
    assert {row["ok"] for row in json.loads(said(*words, "--json", "--require-stated"))} == {True}
    said("verify", own)
    said("push", own, "lab/toy-image", "--to", tmp_path / "shelf")
    fetched = tmp_path / "fetched"
    said("pull", "lab/toy-image", "--from", tmp_path / "shelf", "--to", fetched)
    assert (fetched / "training.json").read_bytes() == (trained / "training.json").read_bytes()
    assert type(zoo.from_pretrained(fetched)).__name__ == "ToyImageModel"
    said("evaluate", fetched, "--require-stated", "--quiet")
    said("evaluate", fetched, trained, "--metric", "reconstruction_mse", "--quiet")
    assert run("evaluate", fetched, "--metric", "accuracy").err.count("measure it with") == 1


def test_the_text_model_fills_masks_and_names_its_heads(said, tmp_path):
    entry = catalog.find("genae_toy_text")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(Path("cards/tiny-bert") / name, tmp_path)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    sizes = {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 1}
    config = catalog.load(entry.config)(vocab_size=len(vocabulary), **sizes)
    torch.manual_seed(0)
    catalog.load(entry.model)(config).save_pretrained(tmp_path)
    assert type(zoo.from_pretrained(tmp_path)).__name__ == "GenaeToyTextForMaskedLM"
    (answer,) = json.loads(said("fill-mask", tmp_path, "a [MASK] b", "-n", "2", "--json"))
    assert len(answer["masks"][0]) == 2
