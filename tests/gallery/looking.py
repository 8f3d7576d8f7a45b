"""What tests ask a gallery that is open in a browser."""

import time
from typing import Any

IMAGE = "(selector) => document.querySelector(selector).toDataURL()"
INK = """(selector) => {
  const small = document.createElement("canvas"), canvas = document.querySelector(selector);
  [small.width, small.height] = [64, 64];
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0, 64, 64);
  return context.getImageData(0, 0, 64, 64).data.filter((_, i) => i % 4 === 0)
    .reduce((sum, value) => sum + value / 4096, 0);
}"""


def settle(page: Any) -> None:
    """Wait until every image that was asked for is drawn."""
    end = time.monotonic() + 60
    while not page.evaluate("shown !== null && shown.runner.idle"):
        assert time.monotonic() < end
        page.wait_for_timeout(20)
    page.wait_for_timeout(30)  # whatever waits for the last of them
