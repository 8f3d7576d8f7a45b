"""Screenshots of the page, looked at: what they show against PyTorch, and how it is laid out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import zoo
from tests.evaluation.browser import open_page
from tests.gallery.looking import seen, settle
from tests.gallery.test_page import SECTIONS
from zoo.data.reading import read_images

pytestmark = pytest.mark.slow
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SETTINGS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": DESK},
    "desk-zh-dark": {"viewport": DESK, "locale": "zh-CN", "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True, "color_scheme": "dark"},
    "phone-zh": {"viewport": PHONE, "has_touch": True, "locale": "zh-CN"},
    "small-phone": {"viewport": {"width": 320, "height": 568}, "has_touch": True},
}
#: Mean difference of gray values, of 255, between a screenshot and an image; digits that differ
#: are some fifty apart.
ALIKE = 12
#: Elements that lie over each other, are cut, or reach out of the page.
FAULTS = """() => {
  const wide = document.documentElement.clientWidth, faults = [];
  const all = [...document.querySelectorAll(
    "h1, h2, p, nav a, button, select, input, code, figcaption, .caption, .sheet, .row, label span"
    + ", .side-by-side > canvas, figure > canvas")].filter((one) => one.getClientRects().length);
  const name = (one) => `${one.closest("section")?.id} ${one.outerHTML.slice(0, 60)}`;
  all.forEach((one, k) => {
    const a = one.getBoundingClientRect();
    if (a.left < 0 || a.right > wide + 0.5) faults.push(`outside: ${name(one)}`);
    const holds = !["INPUT", "SELECT", "CANVAS"].includes(one.tagName)
      && getComputedStyle(one).display !== "inline";
    if (holds && one.scrollWidth > one.clientWidth + 1) faults.push(`cut: ${name(one)}`);
    for (const other of all.slice(k + 1)) {
      if (one.contains(other) || other.contains(one)) continue;
      const b = other.getBoundingClientRect();
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 1) faults.push(`${name(one)} over ${name(other)}`);
    }
  });
  if (document.documentElement.scrollWidth > wide) faults.push("it scrolls sideways");
  return faults;
}"""
#: Texts that stand out less than they should from what is behind them.
FAINT = """() => {
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (let node = one; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const worded = (one) =>
    [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter((one) =>
    one.getClientRects().length && worded(one));
  return texts.map((one) => {
    const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
    return [one.outerHTML.slice(0, 80), (pair[0] + 0.05) / (pair[1] + 0.05)];
  });
}"""


def gray(images: Tensor) -> Tensor:
    """Images in [0, 1] as they are drawn, `(N, H, W)`."""
    return 255 * images.reshape(-1, *images.shape[-2:])


def examples() -> Tensor:
    """The digits of the page, as its encoder reads them."""
    processor = zoo.load_image_processor("genae/eae-mnist")
    return read_images(["examples-mnist"], processor).pixels[:10].float() / 255


def expected() -> dict[str, Tensor]:
    """What each section shows at first, image by image; a board and a map are looked at apart."""
    model, digits = zoo.from_pretrained("genae/eae-mnist"), examples()
    crop = zoo.load_image_processor("genae/eae-mnist").crop_padding
    noise = model.sample_latents(64, seed=0)
    ends = digits[:1], digits[1:2]
    thumbnails, last = crop(digits), crop(model.reconstruct(digits[9:]))
    nets = ["genae/eae-mnist", "genae/vae-mnist", "genae/ae-mnist"]
    rows = [zoo.from_pretrained(name).sample(16, seed=0) for name in nets]
    shown = {
        "samples": crop(model.sample(64, latents=noise)),
        "walk": crop(model.sample(64, seed=2)[:1]),
        "drag": torch.cat(
            [
                crop(model.interpolate(*ends, 3)[0, 1:2]),
                thumbnails,
                thumbnails,
                crop(model.interpolate(*ends, 16)[0]),
            ]
        ),
        "drawing": torch.cat([thumbnails, *(thumbnails[9:],) * 2, last]),
        "compare": crop(torch.cat(rows)),
    }
    return {name: avg_pool2d(gray(images), 2) for name, images in shown.items()}


def test_each_section_shows_what_pytorch_computes(page_file: Path) -> None:
    with open_page(page_file.as_uri(), viewport=DESK, reduced_motion="reduce") as (page, _, _):
        settle(page)
        for section, wanted in expected().items():
            found = seen(page, f"#{section}", 14)
            if section == "walk":
                found = found[:1]  # the other is no image
            apart = (found - wanted).abs().mean(dim=(1, 2))
            assert apart.max() < ALIKE, (section, apart)
        found, sheet = seen(page, "#map", 420)[0], plane()
        apart = (found - sheet).abs()
        apart[180:240, 180:240] = 0  # the mark
        assert apart.mean() < ALIKE
        # Other images, and the plane upside down, are seen to be others.
        assert (found - sheet.flip(0)).abs().mean() > 2 * ALIKE
        found = seen(page, "#samples", 14)
        assert (found - found.roll(1, 0)).abs().mean(dim=(1, 2)).min() > ALIKE


def plane() -> Tensor:
    """The images of codes of two numbers from -3 to 3, `(420, 420)`."""
    steps = (torch.arange(15) + 0.5) / 15 * 6 - 3
    codes = torch.stack([steps.repeat(15), -steps.repeat_interleave(15)], 1)
    model = zoo.from_pretrained("genae/vae-mnist-2d")
    crop = zoo.load_image_processor("genae/vae-mnist-2d").crop_padding
    cells = gray(crop(model.sample(225, latents=codes)))
    return cells.view(15, 15, 28, 28).permute(0, 2, 1, 3).reshape(420, 420)


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_cut_covered_or_faint(page_file: Path, name: str) -> None:
    with open_page(page_file.as_uri(), reduced_motion="reduce", **SETTINGS[name]) as opened:
        page, _, said = opened
        settle(page)
        page.wait_for_timeout(300)  # the answer is said
        assert page.evaluate(FAULTS) == []
        texts = page.evaluate(FAINT)
        assert len(texts) > 40
        assert [text for text in texts if text[1] < 4.5] == []
        for section in SECTIONS:
            assert len(page.inner_text(f"#{section}").split("\n")) >= 2
        assert said == []
