"""The page in a browser without a window: what it asks for, computes, says and lets one do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.evaluation.browser import open_page
from tests.gallery.looking import IMAGE, INK, settle
from zoo.gallery.writing import DEFAULT

SECTIONS = ["samples", "walk", "drag", "drawing", "map", "compare"]
#: Runs a network of the page on codes, in the page itself.
RUN = """([place, part, codes]) => {
  const { models } = JSON.parse(document.getElementById("models").textContent);
  const weights = document.getElementById(`weights-${place}`).textContent;
  const bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0)).buffer;
  const run = engine.load(models[place].networks[part], bytes);
  return codes.map((code) => Array.from(run(Float32Array.from(code))));
}"""
NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas')].filter((one) =>
  !one.textContent.trim() && !one.getAttribute('aria-label') && !one.closest('label')
  && !one.querySelector('[aria-label]') && !one.closest('button')).map((one) => one.outerHTML)"""

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


def test_the_browser_computes_what_pytorch_does(opened: Opened) -> None:
    page, _, _ = opened
    for place, (name, parts) in enumerate(DEFAULT.items()):
        if "decode" not in parts:
            continue
        model = zoo.from_pretrained(name)
        codes = torch.randn(5, model.config.latent_size, generator=torch.Generator())
        found = torch.tensor(page.evaluate(RUN, [place, "decode", codes.tolist()]))
        wanted = model.sample(5, latents=codes)
        torch.testing.assert_close(found.view_as(wanted), wanted, rtol=0, atol=1e-4)


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
    assert "Read as 1," in page.inner_text(".answer")
    for number in (2, 3):
        assert page.evaluate(INK, f"#drawing figure:nth-of-type({number}) canvas") > 5
    assert said == []


def test_everything_can_be_done_by_keys(opened: Opened) -> None:
    page, _, said = opened
    pairs = {"#walk canvas + canvas": "#walk canvas", "#map canvas": "#map canvas + canvas"}
    for canvas, image in pairs.items():
        before = page.evaluate(IMAGE, image)
        page.locator(canvas).first.focus()
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        settle(page)
        assert page.evaluate(IMAGE, image) != before, canvas
    before = page.evaluate(IMAGE, "#drag canvas")
    page.locator("#drag input[type=range]").focus()
    page.keyboard.press("End")
    settle(page)
    assert page.evaluate(IMAGE, "#drag canvas") != before
    assert page.evaluate(NAMELESS) == []
    assert said == []


def test_a_seed_names_its_images_and_a_label_its_digit(opened: Opened) -> None:
    page, _, _ = opened
    seen = []
    for value in ("3", "4", "3"):
        page.locator("#samples input[type=number]").fill(value)
        settle(page)
        seen.append(page.evaluate(IMAGE, "#samples > canvas"))
    assert seen[0] == seen[2] != seen[1]
    label = page.locator("#samples label", has_text="Label")
    assert label.is_hidden()
    page.locator("#samples select").first.select_option(label="genae/cvae-mnist")
    assert label.is_visible()
    inks = []
    for digit in ("1", "0"):
        page.locator("#samples select").last.select_option(label=digit)
        settle(page)
        inks.append(page.evaluate(INK, "#samples > canvas"))
    assert inks[0] < 0.6 * inks[1]  # ones are thin


def test_both_languages_have_the_same_texts() -> None:
    words = json.loads((Path(zoo.__file__).parent / "gallery" / "words.json").read_text("utf-8"))
    assert words["en"].keys() == words["zh"].keys()
