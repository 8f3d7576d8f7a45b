"""What tests ask a gallery that is open in a browser, and how they look at it."""

import base64
import io
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

#: Whatever is drawn in an element, as PNG.
DRAWN = """(selector) => {
  const found = document.querySelector(selector);
  const canvases = found.tagName === "CANVAS" ? [found] : [...found.querySelectorAll("canvas")];
  return canvases.map((canvas) => canvas.toDataURL());
}"""
#: Boxes of canvases of an element in its screenshot, which begins at a whole pixel: left, top,
#: right, bottom.
BOXES = """(root) => {
  const whole = root.getBoundingClientRect(), [x, y] = [whole.left, whole.top].map(Math.floor);
  return [...root.querySelectorAll("canvas")].map((canvas) => {
    const { left, top, right, bottom } = canvas.getBoundingClientRect();
    return [left - x, top - y, right - x, bottom - y];
  });
}"""


def settle(page: Any) -> None:
    """Wait until every image that was asked for is drawn."""
    end = time.monotonic() + 60
    while not page.evaluate("shown !== null && shown.runner.idle"):
        assert time.monotonic() < end
        page.wait_for_timeout(20)
    page.wait_for_timeout(30)  # whatever waits for the last of them


def drawn(page: Any, selector: str) -> list[str]:
    """What is drawn on each canvas of an element, as text to be compared."""
    found: list[str] = page.evaluate(DRAWN, selector)
    return found


def images(page: Any, selector: str) -> Tensor:
    """The same as numbers, red ones, `(N, H, W)` of 0 to 255."""
    found = [base64.b64decode(text.split(",")[1]) for text in drawn(page, selector)]
    arrays = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[..., 0] for png in found]
    return torch.from_numpy(np.stack(arrays)).float()


def ink(page: Any, selector: str) -> float:
    """Their mean."""
    return images(page, selector).mean().item()


def seen(page: Any, selector: str, side: int) -> Tensor:
    """What a screenshot of an element shows where its canvases are, made small, `(N, side, side)`.

    Each pixel is the mean of what is shown there, red, green and blue, 0 to 255.
    """
    found = page.locator(selector)
    shot = Image.open(io.BytesIO(found.screenshot())).convert("RGB")
    small = [
        shot.resize((side, side), Image.Resampling.BOX, box=tuple(box))
        for box in found.evaluate(BOXES)
    ]
    arrays = [np.asarray(one, dtype=np.float32).mean(-1) for one in small]
    return torch.from_numpy(np.stack(arrays))
