"""The page in a browser without a window: what it asks for, computes, says and lets one do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.evaluation.browser import open_page
from tests.gallery.conftest import Part
from tests.gallery.looking import drawn, images, ink, settle
from tests.gallery.node import as_texts, of_texts

pytestmark = pytest.mark.slow
SECTIONS = ["samples", "walk", "drag", "drawing", "map", "compare"]
#: Runs a network of the page in the page itself: numbers in and out as base64.
RUN = """([place, part, texts]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const { models } = JSON.parse(document.getElementById("models").textContent);
  const weights = bytes(document.getElementById(`weights-${place}`).textContent).buffer;
  const run = engine.load(models[place].networks[part], weights);
  return texts.map((text) => {
    const made = new Uint8Array(run(new Float32Array(bytes(text).buffer)).buffer);
    return btoa(Array.from(made, (byte) => String.fromCharCode(byte)).join(""));
  });
}"""
NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas')].filter((one) =>
  !one.textContent.trim() && !one.getAttribute('aria-label') && !one.closest('label')
  && !one.querySelector('[aria-label]') && !one.closest('button')
  && !one.closest('[role=img][aria-label]')).map((one) => one.outerHTML)"""

Opened = tuple[Any, list[str], list[str]]


@pytest.fixture(scope="module")
def opened(page_file: Path) -> Iterator[Opened]:
    """The page, opened once for all tests that leave its sections as they need them."""
    with open_page(page_file.as_uri()) as (page, asked, said):
        settle(page)
        yield page, asked, said


def test_it_asks_for_nothing_and_fits_its_size(page_file: Path, opened: Opened) -> None:
    page, asked, said = opened
    assert page_file.stat().st_size <= 4_000_000
    assert [one for one in asked if not one.startswith("blob:")] == [page_file.as_uri()]
    assert said == []
    assert page.eval_on_selector_all("section", "all => all.map(one => one.id)") == SECTIONS
    assert page.evaluate("document.documentElement.dataset.first !== undefined")


def test_the_browser_computes_what_pytorch_does(opened: Opened, page_parts: list[Part]) -> None:
    page, _, _ = opened
    for part in page_parts:
        found = of_texts(page.evaluate(RUN, [part.place, part.name, as_texts(part.inputs)]))
        wanted = part.outputs.flatten(1)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("genae/eae-mnist", {}),
        ("genae/eae-mnist", {"sampler": "gaussian", "temperature": 0.5}),
        ("genae/vae-mnist-2d", {}),
        ("genae/cvae-mnist", {}),
        ("genae/cvae-mnist", {"labels": [3], "number": 64}),
    ],
)
def test_a_seed_draws_what_it_draws_on_a_command_line(
    opened: Opened, model: str, options: dict[str, Any]
) -> None:
    page, _, _ = opened
    section = page.locator("#samples")
    section.locator("select").first.select_option(label=model)
    section.locator("input[type=number]").fill("123456")
    section.locator("input[type=range]").fill(str(options.get("temperature", 1)))
    fitted = section.locator("input[type=checkbox]")
    fitted.set_checked("sampler" in options) if fitted.is_visible() else None
    if "cvae" in model:
        section.locator("select").last.select_option(value=str(*options.get("labels", [""])))
    settle(page)
    wanted = zoo.sample(model, seed=123456, **options).images[:, 0].float()
    found = images(page, "#samples .sheet")
    assert (found - wanted).abs().max() <= 1  # of 255
    line = page.inner_text("#samples code").split()
    given = [str(word) for value in options.values() for word in np.ravel(value)]
    assert line[:3] == ["genae", "sample", model]
    assert {"--seed", "123456", *given} <= set(line)


def test_a_digit_that_is_drawn_is_read_and_reconstructed(opened: Opened) -> None:
    page, _, said = opened
    page.get_by_role("button", name="Clear").click()
    board = page.locator("#drawing figure canvas").first
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(middle, box["y"] + box["height"] - 30, steps=12)
    page.mouse.up()
    settle(page)
    page.wait_for_timeout(300)  # the answer is said once drawing has stopped
    assert page.inner_text(".answer").startswith("1, ")
    for number in (2, 3):
        assert ink(page, f"#drawing figure:nth-of-type({number}) canvas") > 5
    assert said == []


def test_everything_can_be_done_by_keys(opened: Opened) -> None:
    page, _, said = opened
    pairs = {"#walk canvas + canvas": "#walk canvas", "#map canvas": "#map figure canvas"}
    for canvas, image in pairs.items():
        before = drawn(page, image)
        page.locator(canvas).first.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        settle(page)
        assert drawn(page, image) != before, canvas
    before = drawn(page, "#drag canvas")
    page.locator("#drag input[type=range]").focus()
    page.keyboard.press("End")
    settle(page)
    assert drawn(page, "#drag canvas") != before
    page.get_by_role("button", name="Clear").click()
    page.locator("#drawing figure canvas").first.focus()
    for _ in range(13):
        page.keyboard.press("ArrowDown")
    settle(page)
    page.wait_for_timeout(300)
    assert page.inner_text(".answer").startswith("1, ")
    assert page.evaluate(NAMELESS) == []
    assert said == []


def test_a_seed_names_its_images_and_a_label_its_digit(opened: Opened) -> None:
    page, _, _ = opened
    seen = []
    for value in ("3", "4", "3"):
        page.locator("#samples input[type=number]").fill(value)
        settle(page)
        seen.append(drawn(page, "#samples .sheet"))
    assert seen[0] == seen[2] != seen[1]
    page.locator("#samples select").first.select_option(label="genae/eae-mnist")
    label = page.locator("#samples label", has_text="Label")
    assert label.is_hidden()
    page.locator("#samples select").first.select_option(label="genae/cvae-mnist")
    assert label.is_visible()
    inks = []
    for digit in ("1", "0"):
        page.locator("#samples select").last.select_option(label=digit)
        settle(page)
        inks.append(ink(page, "#samples .sheet"))
    assert inks[0] < 0.6 * inks[1]  # ones are thin


def test_both_languages_have_the_same_texts() -> None:
    words = json.loads((Path(zoo.__file__).parent / "gallery" / "words.json").read_text("utf-8"))
    assert words["en"].keys() == words["zh"].keys()
