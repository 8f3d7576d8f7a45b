"""The page in a browser, the verb on the command line, and the models that ship."""

import base64
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.evaluation.browser import open_page
from tests.tiny import TINY
from zoo.errors import UsageError
from zoo.evaluation.geometry.examining import examine
from zoo.evaluation.geometry.page import render
from zoo.evaluation.geometry.plots import PLOTS
from zoo.evaluation.geometry.survey import survey
from zoo.evaluation.geometry.table import DIAGNOSTICS
from zoo.evaluation.geometry.verdict import verdict

PAGES = {}  # a page takes seconds and follows from its arguments


@pytest.fixture
def page(subject):
    """`page("vae", latent_size=2)`: the HTML of a tiny model's latent space."""

    def make(architecture, again=False, **overrides):
        key = (architecture, *overrides.items())
        if again or key not in PAGES:
            name = f"a <{architecture}> & co"
            examination = examine(name, subject(architecture, **overrides), 30)
            PAGES[key] = render(examination, verdict(examination.survey))
        return PAGES[key]

    return make


def figures(text):
    """Names of the figures, and their images."""
    found = re.findall(r'<figure id="([^"]+)">.*?src="data:image/png;base64,([^"]+)"', text)
    return {name: Image.open(io.BytesIO(base64.b64decode(data))) for name, data in found}


@pytest.mark.parametrize(
    ("architecture", "size", "absent"),
    [
        ("vae", 2, set()),
        pytest.param("vae", 4, {"balls", "manifold"}, marks=pytest.mark.slow),
        pytest.param("ae", 2, {"balls", "rates"}, marks=pytest.mark.slow),
        ("eae", 1, {"balls", "manifold", "rates"}),
    ],
)
def test_a_page_has_every_figure_that_fits_and_none_is_empty(page, architecture, size, absent):
    found = figures(page(architecture, latent_size=size))
    assert set(found) == {plot.name for plot in PLOTS} - absent
    for name, image in found.items():
        assert np.asarray(image.convert("L")).std() > 5, name


def test_codes_of_several_layers_have_no_rate(subject):
    layers = TINY["iwae"]["two-layer"] | {"image_size": 16}
    found = examine("two layers", subject("iwae", **layers), 30).survey
    assert "rate" not in found
    assert "mmd" in found


def test_a_page_names_nothing_outside_itself_and_escapes_names(page):
    text = page("vae", latent_size=2)
    assert "a &lt;vae&gt; &amp; co" in text
    assert "<script" not in text
    outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)[^"'>\s]+|url\(|@import""", text)
    assert not outside
    for row in DIAGNOSTICS.values():
        assert row.title.replace("'", "&#x27;") in text


def test_a_browser_shows_the_page_without_a_request_or_a_complaint(page, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page("vae", latent_size=2), encoding="utf-8")
    with open_page(file.as_uri()) as (tab, asked, said):
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
        assert said == []
        images = tab.evaluate(
            "[...document.images].map(i => i.complete && i.naturalWidth > 300 && i.width > 200)"
        )
        assert len(images) == len(PLOTS)
        assert all(images)
        assert tab.evaluate("document.querySelectorAll('tr').length") == len(DIAGNOSTICS) + 1
        # Nothing sticks out to the side.
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.slow
def test_the_same_numbers_give_the_same_page(page):
    assert page("vae", latent_size=2) == page("vae", again=True, latent_size=2)


def test_too_few_images_are_refused(subject):
    with pytest.raises(UsageError, match="at least"):
        examine("ae", subject("ae", split="test[:40]"), 30)


@pytest.fixture
def folder(tmp_path, make_model, processor):
    place = tmp_path / "model"
    make_model("vae", latent_size=2).save_pretrained(place)
    processor.save_pretrained(place)
    return place


def test_the_verb_answers_in_words_and_in_json_and_writes_a_page(
    run, folder, image_folder, tmp_path, monkeypatch
):
    output = tmp_path / "new" / "page.html"
    words = ("geometry", folder, "--data", image_folder, "-n", 30, "--seed", 3)
    code, out, err = run(*words, "--json", "-o", output)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["n"], answer["held_out"], answer["d"], answer["seed"]) == (30, 30, 2, 3)
    assert [row["name"] for row in answer["statistics"]] == list(DIAGNOSTICS)
    by_name = {row["name"]: row["value"] for row in answer["statistics"]}
    assert by_name["mutual_information"] + by_name["marginal_kl"] == pytest.approx(by_name["rate"])
    assert answer["verdict"] in output.read_text(encoding="utf-8").replace("&#x27;", "'")
    assert list(output.parent.iterdir()) == [output]
    code, out, err = run(*words)
    assert code == 0
    assert answer["verdict"] in out
    assert err.startswith("try: genae geometry")
    monkeypatch.chdir(tmp_path)
    assert run(*shlex.split(err)[2:])[0] == 0
    assert answer["verdict"] in Path("page.html").read_text("utf-8").replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["genae/classifier-mnist", "--data", "mnist"], 2),
        (["genae/tiny-bert"], 2),
        (["MODEL", "-o", "page.png"], 2),
        (["MODEL", "-n", "1"], 2),
        (["MODEL"], 2),
        (["MODEL", "--data", "nowhere"], 3),
        (["genae/none", "--data", "mnist"], 3),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run, folder, words, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [folder if word == "MODEL" else word for word in words]
    ended, out, err = run("geometry", *words)
    assert (ended, out) == (code, "")
    assert err.startswith("genae: ")
    assert "Traceback" not in err
    assert not (tmp_path / "page.png").exists()


@pytest.mark.slow
def test_the_paragraphs_tell_the_autoencoders_of_mnist_apart(shared_data, monkeypatch):
    from zoo.evaluation.measure import open_context
    from zoo.evaluation.subject import Subject

    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    found = {}
    for name in ("ae", "vae", "eae"):
        context = open_context(f"genae/{name}-mnist", device=None, quiet=True)
        examination = examine(name, Subject(context, "mnist", "test"), 1000)
        found[name] = verdict(examination.survey)
    # Points left where they fell; balls with a price; points driven to the prior.
    assert found["ae"].closeness == "far"
    assert {"off-centre", "wide"} <= set(found["ae"].findings)
    assert {found[name].closeness for name in ("vae", "eae")} == {"close"}
    for name in ("vae", "eae"):
        assert not {"off-centre", "wide", "narrow", "line", "ring", "dead"} & {
            *found[name].findings
        }
    assert "nats" in found["vae"].paragraph
    assert "adds noise" in found["vae"].paragraph
    for name in ("ae", "eae"):
        assert "without Gaussian noise" in found[name].paragraph
    assert set(found["eae"].findings) != set(found["vae"].findings) != set(found["ae"].findings)


def test_a_survey_without_a_model_leaves_the_networks_out():
    from zoo.evaluation.geometry.codes import Codes

    found = survey(Codes.of_points(torch.randn(40, 2), torch.randn(40, 2)))
    assert {"drift_ratio", "path_linear", "rate"} <= set(found.undefined)
