"""What the command line tells people to do is done: every `try:`, every shipped page's code."""

import re
import shlex

import numpy as np
import pytest
from PIL import Image

from zoo import registry
from zoo.cli.group import load_verb
from zoo.cli.verbs import VERBS
from zoo.evaluation.metrics.table import METRICS
from zoo.registry import embedded

SHIPPED = [folder.name for folder in embedded.folders() if embedded.ships(folder)]
#: One of each class; those that draw by long chains, and the others, in the full suite alone.
OF_CLASSES = {
    registry.manifest.read_config(embedded.ROOT / name)["architectures"][0]: name
    for name in SHIPPED
    if not name.startswith("mdsm")
}
DRAWN = [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in OF_CLASSES.values()))
    for name in SHIPPED
]


@pytest.fixture
def run(run):
    """`run("info", ...)`: exit code, stderr, and the words of the commands behind `try:`."""

    def call(*words):
        done = run(*words)
        return done.code, done.err, [shlex.split(line) for line in done.tried]

    return call


@pytest.fixture
def follow(run):
    """Run a command, then what it says to try, until a command says nothing or says it again."""

    def call(*words, most=4):
        code, err, tried = run(*words)
        assert code == 0, err
        done = []
        while tried and len(done) < most:
            (again,) = tried
            if again in done:
                break
            assert again[0] == "genae"
            code, err, tried = run(*again[1:])
            assert code == 0, (again, err)
            done.append(again)
        assert done
        return done

    return call


@pytest.fixture
def images(tmp_path):
    """A folder of small images, its name in need of quotes."""
    folder = tmp_path / "my $images; 'two"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to be in."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("name", DRAWN)
def test_the_code_of_every_shipped_page_runs(name):
    page = (embedded.ROOT / name / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, re.M | re.S)
    assert [language for language, _ in blocks] == ["python"]
    values = {}
    exec(blocks[0][1], values)
    architectures = registry.manifest.read_config(embedded.ROOT / name)["architectures"]
    assert type(values["model"]).__name__ == architectures[0]
    assert len(values.get("images", range(4))) == 4


@pytest.mark.parametrize("name", SHIPPED)
def test_the_commands_of_every_shipped_page_are_commands(name):
    page = (embedded.ROOT / name / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"`(genae [^`]+)`", page):
        words = shlex.split(line.replace("\\|", "|"))
        assert words[1] in VERBS
        known = {one for parameter in load_verb(words[1]).params for one in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= {*known}
        assert all(words[i + 1] in METRICS for i, word in enumerate(words) if word == "--metric")


@pytest.mark.parametrize("name", DRAWN)
def test_what_follows_info_runs(name, follow):
    follow("info", f"genae/{name}", most=1)


def test_what_follows_each_other_runs(follow, images):
    assert follow("list")[0][1] == "sample"
    assert follow("registry", "--from", "embedded", most=1)[0][1] == "info"
    follow("fill-mask", "genae/tiny-bert", 'it\'s a [MASK] of "$5"')
    for verb in ("reconstruct", "interpolate"):
        follow(verb, "genae/vae-mnist-2d", images, "-o", "a.png")
    last = images / "3.png"
    follow("reconstruct", "genae/vae-mnist-2d", images, last, "-o", "odd.png")


@pytest.mark.slow
def test_what_follows_the_list_of_a_registry_ends_in_a_trained_model(follow):
    verbs = [again[1] for again in follow("registry", "--from", "embedded")]
    assert verbs[:3] == ["info", "train", "evaluate"]


def test_a_compressed_file_is_decompressed_beside_its_images(follow, images, here):
    images.rename(here / "photos")
    follow("compress", "photos", "photos.gnz", "--model", "genae/vae-mnist-8bit")
    assert len(list((here / "photos-2").iterdir())) == 4


def test_a_folder_is_followed_as_a_folder(follow, here):
    for name in ("eae-mnist", "tiny-bert", "tiny-gpt2", "infomax-fashion-mnist"):
        place = here / f"a 'copy' of {name}"
        follow("pull", f"genae/{name}", "--to", place)
        follow("info", place, most=1)
    (here / "a 'copy' of eae-mnist/card.toml").unlink()
    words = ("sample", here / "a 'copy' of eae-mnist", "-o", "b.png", "--sampler", "mixture")
    (command,) = follow(*words)  # and what was just used is not what to try
    assert {"mixture", "0.7"} < {*command}


def test_a_model_that_was_pushed_is_pulled(follow, here):
    words = ("push", "genae/tiny-gpt2", "tiny/mine", "--to", here / "a registry", "--dry-run")
    verbs = [again[1] for again in follow(*words)]
    assert verbs == ["push", "pull", "verify"]


def test_densities_are_written_to_a_table(follow, images):
    for number in range(4, 22):
        (images / f"{number}.png").write_bytes((images / "0.png").read_bytes())
    follow("density", "genae/vae-mnist-2d", images, "--samples", "2", "--binarize", "stochastic")


def test_quiet_has_no_hints_and_json_neither(run):
    for words in (("info", "genae/tiny-gpt2"), ("list",), ("registry",)):
        for more in (("-q",), ("--json",)):
            code, _, tried = run(*words, *more)
            assert (code, tried) == (0, [])


CARD = """
schema = 1
id = "tiny/nowhere"
version = "1.0.0"
architecture = "vae"
task = "unconditional-image-generation"
status = "recipe"
license = "apache-2.0"
summary = "A card for tests."
intended_use = "Tests."
limits = "Tests."

[config]
image_size = 8
num_channels = 1
latent_size = 2
width_multiplier = 0.02

[processor]
size = 8
num_channels = 1

[data]
dataset = {folder!r}
train_split = "train"
license = "cc0-1.0"

[train]
num_train_epochs = 1
per_device_train_batch_size = 8
learning_rate = 1e-2
use_cpu = true
"""


def test_a_trained_model_is_measured_and_its_page_loads_it(follow, here, images, monkeypatch):
    place = images.rename(here / "images")
    for number in range(4, 40):
        (place / f"{number}.png").write_bytes((place / f"{number % 4}.png").read_bytes())
    (here / "card.toml").write_text(CARD.format(folder=str(place)), encoding="utf-8")
    assert follow("train", here / "card.toml", "-o", here / "it's mine")[0][1] == "evaluate"
    monkeypatch.chdir(here / "it's mine")
    page = (here / "it's mine/README.md").read_text(encoding="utf-8")
    values = {}
    exec("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)), values)
    assert values["images"].shape == (4, 1, 8, 8)
