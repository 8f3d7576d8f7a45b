"""The maker's path, from a folder of images to two published versions, one of them withdrawn.

But for the first line of each part, which the pages give, only what genae printed is typed, and
only what the page about cards says is edited.
"""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT

PLACE = "./registry"


@pytest.fixture
def type_line(run):
    """Type a command; what it says to try last is the next line, if it says anything."""

    def call(line):
        done = run(*shlex.split(line)[1:])
        return done, (done.tried or [None])[-1]

    return call


@pytest.fixture
def until_done(type_line):
    """Type a command that is refused until it is done, each time after what the refusal names."""

    def call(line):
        said = []
        while (done := type_line(line)[0]).code:
            assert done.err not in said, done.err
            said.append(done.err)
            command = re.findall(r"`(genae [^`]+)`", done.err)[0]
            again, _ = type_line(command)
            assert again.code == 0, (command, again.err)
            if command.split()[1] == line.split()[1]:  # the same, put right
                return again, said
        return done, said

    return call


def edit(card, **values):
    """Change values of a card's lines, as anyone would in an editor."""
    text = card.read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = \S+", f"{key} = {value}", text, flags=re.M)
        assert count, key
    card.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_from_ones_own_images_to_a_version_withdrawn(type_line, until_done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        shutil.copytree(ROOT / "cards/examples/mnist", f"images/{split}")

    # One's own model.
    done, line = type_line("genae new lab/digits --data images --architecture vae")
    assert done.code == 0, done.err
    card = Path(done.out.strip())
    edit(card, num_train_epochs=2)
    done, line = type_line(line)
    assert line.startswith("genae evaluate "), line
    first = Path(done.out.split()[0])
    done, _ = type_line(line)
    assert done.code == 0
    assert "nothing compared" in done.out + done.err

    # Published.
    done, said = until_done(f"genae push {first} lab/digits --to {PLACE}")
    assert any("--record" in problem for problem in said)
    assert any("license" in problem for problem in said)
    done, line = type_line(done.tried[-1])
    assert line.startswith("genae verify"), line
    assert type_line(line)[0].code == 0

    # Trained anew, and published as the next version.
    edit(card, version='"0.2.0"', license='"mit"', seed=1)
    done, line = type_line(f"genae train {card.parent} --output second")
    second = Path(done.out.split()[0])
    until_done(f"genae push {second} --to {PLACE}")  # under its card's id

    # Compared.
    done, _ = type_line(f"genae list --from {PLACE} --json")
    (row,) = json.loads(done.out)
    assert row["version"] == "0.2.0"
    pair = "lab/digits@v0.1.0 lab/digits@v0.2.0"
    line = f"genae evaluate {pair} --from {PLACE} --metric reconstruction_mse"
    done, _ = type_line(line)  # of the data that a published card names as it lies here
    assert done.code == 0, done.err
    assert len(set(re.findall(r"0\.\d{4,}", done.out))) == 2
    done, _ = type_line(f"genae diff {pair} --from {PLACE}")
    assert "seed" in done.out, done.err

    # Withdrawn.
    done, line = type_line(
        f"genae withdraw lab/digits@v0.1.0 --from {PLACE} --why 'the second is better'"
    )
    assert done.code == 0, done.err
    assert type_line(line)[0].code == 0
    done, _ = type_line(f"genae pull lab/digits@v0.1.0 --from {PLACE} --to old")
    assert done.code
    assert "the second is better" in done.err
    assert not Path("old").exists()
    done, _ = type_line(f"genae pull lab/digits --from {PLACE} --to mine")
    assert done.code == 0, done.err
    assert sorted(p.name for p in Path().iterdir()) == [
        "images", "mine", "out", "recipes", "registry", "second"
    ]  # fmt: skip
