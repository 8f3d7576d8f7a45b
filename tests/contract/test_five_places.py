"""A new architecture is five places and nothing else; CONTRIBUTING.md names them."""

import os
import re
import subprocess
import sys

import pytest

from tests.contract.toys import FILES, ROWS, copy_with_toys

LAWS = (
    "tests/contract",
    "tests/house",
    "--override-ini=python_files=test_*.py toy_verbs.py",
    "--ignore=tests/contract/test_five_places.py",
)


def test_the_toys_are_in_the_places_that_the_page_names(root):
    page = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## A new model\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d\. .*(?:\n   .*)*", section, re.MULTILINE)
    assert len(steps) == 5
    named = "\n".join(steps)
    for place in (*FILES, *(name for name, _, _ in ROWS)):
        general = re.sub(r"toy[-_](image|text)", "x" if place.endswith(".py") else "NAME", place)
        general = general.replace("models/images", "models/ISLAND")
        general = general.replace("models/text", "models/ISLAND")
        assert f"`{general}`" in named, general


@pytest.mark.slow  # a suite of its own, in another process
def test_toys_in_five_places_keep_every_law_and_obey_every_verb(root, tmp_path):
    copy_with_toys(root, tmp_path)
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-k", "toy"]
    done = subprocess.run(
        [*words, *LAWS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 100, done.stdout
    assert "skipped" not in done.stdout
