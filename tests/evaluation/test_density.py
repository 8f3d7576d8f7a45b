"""Densities of images: rows, resuming, refusals, units; and what they tell apart."""

import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import zoo
from zoo import catalog
from zoo.errors import InterruptedRunError, UsageError
from zoo.evaluation.density import estimate as density
from zoo.evaluation.density.estimate import Plan
from zoo.evaluation.density.journal import Journal
from zoo.evaluation.metrics.auroc import area_under_curve, auroc
from zoo.evaluation.subject import Context
from zoo.models import GenaeImageProcessor

PLAN = Plan("importance", 20, 0, "none", 0)
COUNT = 70  # more than a batch


@pytest.fixture
def context(make_model, processor):
    def make(architecture="vae", **config):
        return Context(make_model(architecture, **config), processor, quiet=True)

    return make


def pixels(two_valued=True, count=COUNT):
    drawn = torch.randint(0, 256, (count, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    return (255 * (drawn > 127) if two_valued else drawn).to(torch.uint8)


def rows(context, plan, images, first=0):
    return [row for batch in density.densities(context, plan, images, first) for row in batch]


def test_a_cut_run_gives_the_rows_of_an_uncut_one(context):
    one = context()
    whole = rows(one, PLAN, pixels())
    assert len(whole) == COUNT
    assert rows(one, PLAN, pixels(), first=1) == whole[density.batch_size(PLAN) :]


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized_logistic", "gaussian"])
def test_bits_are_those_of_the_images_own_pixels(context, likelihood):
    one = context(likelihood=likelihood)
    row = dict(zip(PLAN.columns, rows(one, PLAN, pixels(count=1))[0], strict=True))
    nats = -row["log_prob"] + (16 * 16 * 8 * math.log(2) if likelihood == "gaussian" else 0)
    assert row["bits_per_dim"] == pytest.approx(nats / math.log(2) / 12**2, rel=1e-5)
    assert row["elbo"] <= row["log_prob"] + 1e-4


def test_grey_images_under_a_bernoulli_are_refused_and_counted(context):
    mixed = torch.cat([pixels(count=2), pixels(two_valued=False, count=3)])
    with pytest.raises(UsageError, match=r"3 of 5 images are grey.*--binarize"):
        density.check(context(), PLAN, mixed)
    density.check(context(), PLAN, pixels())
    density.check(context(likelihood="gaussian"), PLAN, mixed)


def test_points_have_no_proposal_but_can_be_annealed(context):
    with pytest.raises(UsageError, match="annealed"):
        density.check(context("eae"), PLAN, pixels())
    plan = Plan("annealed", 2, 3, "none", 0)
    density.check(context("eae"), plan, pixels())
    assert len(rows(context("eae"), plan, pixels(count=18))) == 18


def test_memory_does_not_grow_with_the_number_of_samples(context, monkeypatch):
    one, seen = context(), []
    decoder = one.model.decoder.forward
    monkeypatch.setattr(one.model.decoder, "forward", lambda z: seen.append(len(z)) or decoder(z))
    rows(one, Plan("importance", 50, 0, "none", 0), pixels(count=64))
    few = max(seen)
    seen.clear()
    rows(one, Plan("importance", 150, 0, "none", 0), pixels(count=64))
    assert max(seen) == few


def test_the_area_is_the_share_of_ordered_pairs():
    own, other = torch.randn(50), torch.randn(70).round(decimals=1)
    own[:20] = other[:20]
    pairs = own[:, None] - other
    expected = ((pairs > 0).double() + 0.5 * (pairs == 0).double()).mean().item()
    assert area_under_curve(own, other) == pytest.approx(expected)
    assert area_under_curve(own, other) == pytest.approx(1 - area_under_curve(other, own))
    assert area_under_curve(own + 100, other) == 1


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "beta_binomial"])
def test_auroc_takes_the_options_that_it_tells(subject, image_folder, likelihood):
    one = subject("vae", likelihood=likelihood)
    binarized = {"binarization": "threshold"} if likelihood == "bernoulli" else {}
    settings = {"other": str(image_folder), "num_samples": 3, "num_images": 10}
    first = auroc(one, **settings, **binarized)
    again = auroc(one, **first.options)
    assert (again.value, again.options) == (first.value, first.options)


def test_auroc_of_equal_sets_is_a_half_and_both_ways_add_up(subject, image_folder):
    one = subject("vae")
    options = {"binarization": "threshold", "num_samples": 5, "num_images": None}
    same = auroc(one, other=str(image_folder), **options)
    assert same.value == pytest.approx(0.5, abs=0.1)
    assert same.options["other_split"] == "test"
    there = auroc(one, other=str(image_folder), other_split="train", **options)
    assert 0 <= there.value <= 1
    with pytest.raises(UsageError, match="needs the option `other`"):
        auroc(one, binarization="threshold")


def test_a_journal_goes_on_after_its_last_whole_line(tmp_path):
    target = tmp_path / "out.parquet"
    first = Journal(target, {"seed": 0})
    first.add([[1.0, 2.0]])
    first.add([[3.0, 4.0]])
    first.close()
    content = first.path.read_bytes()
    for cut in range(1, len(content)):
        first.path.write_bytes(content[:cut])
        again = Journal(target, {"seed": 0})
        assert again.batches == [[[1.0, 2.0]], [[3.0, 4.0]]][: len(again.batches)]
        again.add([[5.0, 6.0]])
        again.close()
        third = Journal(target, {"seed": 0})
        assert third.batches == again.batches
        third.close()


@pytest.fixture
def folder(tmp_path, make_model):
    place = tmp_path / "model"
    make_model("iwae", image_size=5).save_pretrained(place)
    GenaeImageProcessor(num_channels=1, size=5).save_pretrained(place)
    return place


@pytest.fixture
def drawings(tmp_path):
    place = tmp_path / "drawings"
    place.mkdir()
    for number in range(COUNT):
        noise = np.random.default_rng(number).integers(0, 2, (5, 5), dtype=np.uint8)
        Image.fromarray(255 * noise).save(place / f"{number:02}.png")
    return place


def test_the_verb_prints_and_answers_in_json(run, folder, drawings):
    code, out, _ = run("density", folder, drawings / "00.png", drawings / "01.png",
                       "--samples", 30, "--gap", 2, "--temperatures", 3, "-q")  # fmt: skip
    assert code == 0
    assert "log p, nats" in out
    assert "gap" in out
    words = ("density", folder, drawings, "--samples", 30, "--json")
    code, out, _ = run(*words)
    answer = json.loads(out)
    assert code == 0
    assert len(answer["densities"]) == answer["summary"]["images"] == COUNT
    assert answer["summary"]["log_prob"] >= answer["summary"]["elbo"]
    assert json.loads(run(*words)[1]) == answer
    code, out, _ = run("density", folder, drawings / "00.png", "--samples", 1, "--json")
    assert json.loads(out)["densities"][0]["standard_error"] is None


def test_the_function_gives_what_the_verb_prints(run, folder, drawings):
    found = zoo.density(folder, [str(drawings)], samples=10, seed=3)
    words = ("density", folder, drawings, "--samples", 10, "--seed", 3, "--json")
    answer = json.loads(run(*words)[1])
    assert answer["densities"] == found.rows
    assert answer["summary"] == found.summary
    with pytest.raises(UsageError, match="give either images"):
        zoo.density(folder)


def test_a_killed_call_is_finished_by_the_same_call(folder, drawings, tmp_path, monkeypatch):
    table, real = tmp_path / "cut.parquet", density.densities

    def killed(*args):
        yield next(real(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(density, "densities", killed)
        with pytest.raises(InterruptedRunError, match="resumes there"):
            zoo.density(folder, [str(drawings)], samples=10, parquet=table)
    found = zoo.density(folder, [str(drawings)], samples=10, parquet=table)
    assert found.resumed > 0
    assert found.rows == zoo.density(folder, [str(drawings)], samples=10).rows


def test_a_killed_table_is_finished_by_the_same_command(run, folder, drawings, tmp_path,
                                                        monkeypatch):  # fmt: skip
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    words = ("density", folder, drawings, "--samples", 10, "-q", "--parquet")
    assert run(*words, whole)[0] == 0
    real = density.densities

    def killed(*args):
        yield next(real(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(density, "densities", killed)
        code, _, err = run(*words, cut)
    assert code == 130
    assert "resumes there" in err
    assert not cut.exists()
    assert run(*words, cut, "--seed", 1)[0] == 7  # other options: not the same run
    assert run(*words, cut)[0] == 0
    assert pq.read_table(cut).equals(pq.read_table(whole))
    assert not list(tmp_path.glob(".*partial"))
    assert run(*words, cut)[0] == 7  # there already
    assert run(*words, tmp_path / "no" / "where.parquet")[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "mnist", "--number", "0"], "--number"),
        ([], "give either images, or a data set"),
        (["IMAGE", "--data", "mnist"], "give either images"),
        (["IMAGE", "--number", "3"], "--data"),
        (["IMAGE", "--method", "anealed"], "annealed"),
        (["IMAGE", "--binarize", "fixed"], "not known"),
        (["GREY"], "cross-entropy"),
    ],
)
def test_what_makes_no_sense_is_refused(run, folder, drawings, tmp_path, words, said):
    grey = tmp_path / "grey.png"
    Image.fromarray(np.arange(25, dtype=np.uint8).reshape(5, 5)).save(grey)
    places = {"IMAGE": drawings / "00.png", "GREY": grey}
    code, _, err = run("density", folder, *(places.get(word, word) for word in words))
    assert code == 2
    assert said in err


def test_grey_images_are_binarised_on_request(run, folder, tmp_path):
    grey = tmp_path / "grey.png"
    Image.fromarray(10 * np.arange(25, dtype=np.uint8).reshape(5, 5)).save(grey)
    for mode in ("stochastic", "threshold", "frozen"):
        code, out, _ = run("density", folder, grey, "--binarize", mode, "--samples", 5, "--json")
        assert code == 0
        assert json.loads(out)["binarization"] == mode


def test_images_of_another_form_are_refused_unless_asked_for(run, folder, drawings, tmp_path):
    colours = tmp_path / "colours"
    colours.mkdir()
    for number in range(2):
        Image.new("RGB", (8, 9), (255, 255, 255)).save(colours / f"{number}.png")
    Image.new("L", (5, 5), 255).save(colours / "z.png")
    words = ("density", folder, "--binarize", "threshold", "--samples", 2)
    for given in (("--data", colours, "--split", "train"), (colours,)):
        code, out, err = run(*words, *given)
        assert (code, out) == (2, "")
        assert "reads images of 5 x 5 grey, and these are not: 2 of 8 x 9 RGB; --convert" in err
        code, out, err = run(*words, *given, "--convert", "--json")
        assert code == 0
        assert json.loads(out)["converted"] == {"8 x 9 RGB": 2}
        assert "converted to 5 x 5 grey: 2 of 8 x 9 RGB" in err
    assert json.loads(run(*words, drawings, "--json")[1])["converted"] == {}


@pytest.mark.parametrize(
    ("channels", "image", "form"),
    [
        (1, Image.new("L", (5, 5)), ""),
        (1, Image.new("1", (5, 5)), ""),
        (3, Image.new("P", (5, 5)), ""),
        (1, Image.new("P", (5, 5)), "5 x 5 colours of a palette"),
        (3, Image.new("L", (5, 5)), "5 x 5 grey"),
        (3, Image.new("RGBA", (5, 5)), "5 x 5 RGB with transparency"),
        (1, Image.new("I;16", (5, 5)), "5 x 5 grey of more than 8 bits"),
        (3, Image.new("CMYK", (5, 4)), "5 x 4 CMYK"),
    ],
)
def test_forms_that_a_processor_changes_are_named(channels, image, form):
    """And those it does not change come back pixel for pixel."""
    processor = GenaeImageProcessor(num_channels=channels, size=5, pad_size=8)
    assert processor.changed_form(image) == form
    if not form:
        image.putdata([number % 2 for number in range(25)])
        whole = np.asarray(image.convert({1: "L", 3: "RGB"}[channels])).reshape(5, 5, channels)
        assert np.array_equal(processor.to_uint8(image)[:, 1:6, 1:6], whole.transpose(2, 0, 1))


def test_models_without_a_decoder_are_refused(run, tmp_path, tiny_config, drawings):
    config = tiny_config("classifier")
    place = tmp_path / "classifier"
    catalog.load(catalog.find("classifier").model)(config).save_pretrained(place)
    GenaeImageProcessor(num_channels=1, size=config.image_size).save_pretrained(place)
    assert run("density", place, drawings)[0] == 2
