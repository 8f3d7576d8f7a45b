"""The gallery in the system's Chromium: the first image, and images a second of each model.

Run: python tests/benchmarks/bench_gallery.py [--rounds 5]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from side_by_side import describe_machine, print_table

#: Draws images of a model for a second, one after the other, as a moving pointer does.
SPEED = """async (place) => {
  const canvas = document.createElement("canvas"), codes = codesOf(shown.models[place], 1, 2000);
  await shown.decode(canvas, place, codes[0], "");
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < 1000) {
    await shown.decode(canvas, place, codes[count++ % codes.length], "");
  }
  return count / ((performance.now() - start) / 1000);
}"""


def main() -> None:
    import shutil

    from playwright.sync_api import sync_playwright

    from zoo.gallery import make_gallery

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    gallery = make_gallery()
    decoders = [name for name, parts in gallery.models.items() if "decode" in parts]
    firsts, speeds = [], {name: [] for name in decoders}
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        file = gallery.save(Path(place) / "gallery.html")
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        for _ in range(rounds):
            page = browser.new_page(reduced_motion="reduce")  # which would take its share
            page.goto(file.as_uri())
            while not page.evaluate("shown !== null && shown.runner.idle"):
                page.wait_for_timeout(50)
            firsts.append(float(page.evaluate("document.documentElement.dataset.first")))
            for number, name in enumerate(decoders):
                speeds[name].append(page.evaluate(SPEED, number))
            page.close()
        browser.close()
    rows = [["first image", f"{statistics.median(firsts):.0f} ms", "at most 150 ms"]]
    rows += [
        [name, f"{statistics.median(values):.0f} images a second", "at least 30"]
        for name, values in speeds.items()
    ]
    print_table(describe_machine(), ["", f"median of {rounds}", "wanted"], rows)


if __name__ == "__main__":
    main()
