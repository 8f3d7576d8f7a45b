"""A model's own folder: every refusal names a command, and who types it gets further."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest

import zoo
from zoo import registry
from zoo.card import Card, dumps
from zoo.card.editing import with_results, with_value
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.registry import embedded, manifest, upkeep

COMMENT = "  # my own words\n"
TABLE = {
    "data": {
        "dataset": "examples-mnist",
        "train_split": "train[:16]",
        "license": "cc-by-sa-3.0",
    },
    "processor": {"size": 8, "num_channels": 1},
    "train": {"num_train_epochs": 1, "per_device_train_batch_size": 8, "learning_rate": 1e-3},
    "results": [],
    "license": "mit",
    "id": "local/toy",
    "version": "0.1.0",
    "status": "experimental",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as `genae train` leaves it, but for the training: its card states no results."""
    from tests.registry.conftest import CARD

    folder = tmp_path_factory.mktemp("made") / "my model"
    config = CARD["config"] | {"num_channels": 1}
    model = zoo.EAEModel(zoo.EAEConfig(**config))
    model.save_pretrained(folder)
    zoo.GenaeImageProcessor(**TABLE["processor"]).save_pretrained(folder)
    text = dumps({**CARD, **TABLE, "config": config}).replace('"mit"\n', f'"mit"{COMMENT}')
    (folder / "card.toml").write_text(text, encoding="utf-8")
    manifest.write(folder, Card.load(folder), {"by": "a test"}, place=".")
    return folder


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory):
    """The same, its results recorded."""
    from zoo.cli import app

    folder = Path(shutil.copytree(made, tmp_path_factory.mktemp("measured") / "my model"))
    words = ["evaluate", str(folder), "--metric", "reconstruction_mse", "--record", "-q"]
    assert not app(words, standalone_mode=False)
    return folder


@pytest.fixture
def mine(measured, tmp_path, monkeypatch):
    """The measured model in the current folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(measured, tmp_path / "my model"))


def _edit(name, old, new):
    def change(folder):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def _both(*changes):
    def change(folder):
        for one in changes:
            one(folder)

    return change


def _unlisted(*changes):
    """Changes that the manifest has taken in, as after `genae card --accept`."""

    def change(folder):
        _both(*changes)(folder)
        upkeep.renew(folder, accept=True)

    return change


def _set(name, **values):
    def change(folder):
        table = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(table | values))

    return change


def _remove(name):
    return lambda folder: (folder / name).unlink()


def _smaller(folder):
    """Weights without some that the configuration asks for."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {k: v for k, v in load_file(path).items() if not k.startswith("decoder.")}
    save_file(weights, path, metadata={"format": "pt"})
    results = manifest.read(folder)["results"]
    manifest.write(folder, Card.load(folder), {}, results=results)


def _forget(folder):
    """Leave the results out of the card, as a card is before anything was measured."""
    text = Card.load(folder).text
    (folder / "card.toml").write_text(text[: text.index("[[results]]")], encoding="utf-8")
    upkeep.renew(folder)


def _flip(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


#: What befalls a folder that could be pushed, what a push says of it, and its exit code.
REFUSED = {
    "a changed summary": (_edit("card.toml", "A toy", "My toy"), "card.toml: ", 5),
    "a removed card's words": (_edit("card.toml", COMMENT, "\n"), "card.toml: ", 5),
    "no README": (_remove("README.md"), "README.md: missing", 5),
    "a changed README": (_edit("README.md", "toy", "boy"), "README.md: its SHA-256", 5),
    "an image more": (lambda f: (f / "walk.png").touch(), "walk.png: not in the manifest", 5),
    "no manifest": (_remove("manifest.json"), "does not exist", 3),
    "a malformed manifest": (lambda f: (f / "manifest.json").write_text("{"), "not JSON", 5),
    "too many parameters": (_set("manifest.json", parameters=10**9), "parameters", 5),
    "other settings": (_edit("preprocessor_config.json", "{", "{ "), "preprocessor_config", 5),
    "other weights": (_flip, "model.safetensors: its SHA-256 differs", 5),
    "another architecture": (_edit("card.toml", '"eae"', '"vae"'), "model_type is", 5),
    "another version": (_edit("card.toml", '"0.1.0"', '"0.2.0"'), "version is '0.2.0'", 5),
    "no licence": (_unlisted(_edit("card.toml", '"mit"', '"unknown"')), "license is unknown", 2),
    "no licence key": (_edit("card.toml", f'license = "mit"{COMMENT}', ""), "key 'license'", 2),
    "no results": (_forget, "states no [[results]]", 9),
    "another number": (
        _both(_edit("card.toml", "value = ", "value = 1"), upkeep.renew),
        "measured 0.",
        9,
    ),
    "no card": (_remove("card.toml"), "no card at", 3),
    "no weights": (_remove("model.safetensors"), "contains no weights", 3),
    "no configuration": (_remove("config.json"), "config.json: missing", 5),
    "weights of another model": (_smaller, "missing, such as decoder.", 5),
}
#: Those that are trained again, all but one in the full suite alone.
AGAIN = ("no configuration", "weights of another model")
CASES = [
    pytest.param(*row, id=name, marks=[pytest.mark.slow] * (name in AGAIN))
    for name, row in REFUSED.items()
]


def type_from(run, done):
    """Type the command that a message names: its words, and what it did."""
    again = shlex.split(re.findall(r"`(genae [^`]+)`", done.err)[0])
    return again, run(*again[1:])


def follow(run, folder, words):
    """Push, and type what is printed until it is done; the messages on the way."""
    said = []
    while (done := run("push", folder, *words)).code:
        assert done.err not in said, done.err
        said.append(done.err)
        assert len(said) < 5
        again, typed = type_from(run, done)
        if typed.code:  # another number is measured, and the next step told at once
            assert (again[1], typed.code) == ("evaluate", 9), typed.err
            _, typed = type_from(run, typed)
        assert typed.code == 0, (again, typed.err)
        if again[1] == "push":
            break
        if again[1] == "train":
            folder = Path(again[-1])
    return said


@pytest.mark.parametrize(("damage", "problem", "code"), CASES)
def test_a_refused_push_names_the_command_that_helps(mine, run, damage, problem, code):
    damage(mine)
    first = run("push", mine, "me/toy", "--to", "./models", "--dry-run")
    assert first.code == code, first.err
    assert problem in first.err
    said = follow(run, mine, ("me/toy", "--to", "./models"))
    assert said
    assert registry.verify(zoo.pull("me/toy", "copy", source="./models")).ok


ASKED = {
    "no owner": ("toy", "--to", "./models"),
    "no version": ("me/toy", "--to", "./models", "--version", "one"),
    "no place": ("me/toy", "--to", "models"),
    "code of nobody": ("me/toy", "--to", "./models", "--with-code"),
}


@pytest.mark.parametrize("words", ASKED.values(), ids=ASKED)
def test_what_was_asked_wrongly_is_written_out(mine, run, words):
    source = mine if "--with-code" not in words else "genae/tiny-albert"
    (said,) = follow(run, source, words)
    assert "--to ./models" in said
    assert len(list(Path("models").glob("*/*/v*.json"))) == 1


def test_a_pickle_is_removed_by_hand(mine, run):
    words = ("push", mine, "me/toy", "--to", "./models")
    (mine / "optimizer.pt").touch()
    refused = run(*words)
    assert refused.code == 8
    assert "Remove it." in refused.err
    (mine / "optimizer.pt").unlink()
    _, typed = type_from(run, refused)
    assert typed.code == 0
    assert run(*words).code == 0


def test_a_version_that_is_taken_names_the_next(mine, run):
    words = ("me/toy", "--to", "./models")
    assert run("push", mine, *words).code == 0
    (said,) = follow(run, mine, words)
    assert "--version 0.1.1" in said
    assert len(list(Path("models").glob("*/*/v*.json"))) == 2


@pytest.mark.parametrize("verb", ["verify", "pull", "load"])
@pytest.mark.parametrize("damage", ["a changed summary", "no manifest", "other settings"])
def test_others_name_the_same_command(mine, run, verb, damage):
    REFUSED[damage][0](mine)
    if verb == "load":
        if damage != "other settings":
            zoo.from_pretrained(mine)  # words are no reason, nor is a folder without a manifest
            return
        with pytest.raises(IntegrityError) as error:
            zoo.from_pretrained(mine)
        said = str(error.value)
    else:
        done = run(verb, mine, *(["--to", "copy"] if verb == "pull" else []))
        assert done.code in (3, 5)
        said = done.err
    (again,) = re.findall(r"`(genae card [^`]+)`", said)
    assert ("--accept" in again) == (damage == "other settings")
    assert run(*shlex.split(again)[1:]).code == 0
    assert run("verify", mine).code == 0


def test_a_card_keeps_its_words(mine, made):
    text, before = (Card.load(folder).text for folder in (mine, made))
    assert text.startswith(before.replace("results = []\n", "").rstrip())
    assert COMMENT in text
    assert "[[results]]" in (text.removeprefix(before.replace("results = []\n", "").rstrip()))
    (result,) = Card.load(mine).results
    assert result.value == manifest.read(mine)["results"][0]["value"]
    page = (mine / "README.md").read_text(encoding="utf-8")
    assert f"| {result.value:g} ± " in page
    assert 'from_pretrained(".")' in page
    assert registry.verify(mine).ok


def test_nothing_is_written_where_something_is_wrong(mine, run):
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    for words in (
        ("--set", "licence=mit"),
        ("--set", "version=one"),
        ("--set", "source.license=mit"),
        ("--set", "license"),
    ):
        done = run("card", mine, *words)
        assert (done.code, done.err.count("\n")) == (2, 1), words
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_what_was_measured_on_other_weights_is_forgotten(mine):
    _flip(mine)
    with pytest.raises(IntegrityError, match="--accept"):
        upkeep.renew(mine)
    with pytest.raises(IntegrityError, match="--accept"):
        upkeep.record(mine, [])
    upkeep.renew(mine, accept=True)
    assert manifest.read(mine)["results"] == []
    assert Card.load(mine).results  # what the card states is now to be measured again


def test_numbers_are_restated_only_when_asked(mine, run):
    _edit("card.toml", "value = ", "value = 1")(mine)
    upkeep.renew(mine)
    stated = Card.load(mine).results[0].value
    words = ("evaluate", mine, "--record", "-q")
    refused = run(*words)
    assert refused.code == 9
    assert "--restate" in refused.err
    assert Card.load(mine).results[0].value == stated
    assert run(*words, "--restate").code == 0
    assert Card.load(mine).results[0].value == manifest.read(mine)["results"][0]["value"] != stated
    assert COMMENT in Card.load(mine).text
    assert run("evaluate", mine, "--restate").code == 2


def test_only_a_folder_of_ones_own_is_changed(mine, run, tmp_path):
    assert run("push", mine, "me/toy", "--to", "./models").code == 0
    (version,) = Path("models/me/toy").glob("*/card.toml")
    with pytest.raises(UsageError, match="nothing is changed"):
        upkeep.renew(version.parent)
    with pytest.raises(NotFoundError, match="no folder"):
        upkeep.renew("no/where")
    (version.parent / "card.toml").write_text("id = 1")
    assert "Pull it again" in run("verify", version.parent).err


def test_a_folder_that_is_refused_does_not_stop_the_others(mine, run):
    shutil.copytree(mine, "other", ignore=shutil.ignore_patterns("*.safetensors"))
    done = run("card", "other", mine, "absent", "--set=license=mit")
    assert done.code == 3
    assert f"{mine}: README.md and manifest.json follow" in done.out
    assert "other contains no weights" in done.err
    assert "no folder 'absent'" in done.err
    assert Card.load(mine).license == "mit"


def test_a_page_names_the_id_where_it_ships(registry_root):
    folder = upkeep.renew(registry_root / "eae-toy", {"summary": "Another."})
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert 'from_pretrained("genae/eae-toy")' in page
    assert "Another." in page


VALUES = {"license": "cc0-1.0", "version": "9.9.9", "replaced_by": "a/b", "results.value": 1.25}


@pytest.mark.parametrize("folder", embedded.folders(), ids=lambda folder: folder.name)
def test_one_line_of_a_card_changes(folder):
    text = Card.load(folder).text
    table = tomllib.loads(text)
    for key, value in VALUES.items():
        if key.startswith("results") and "results" not in table:
            continue
        new = with_value(text, key, value)
        assert len({*text.splitlines()} - {*new.splitlines()}) <= 1
        place = tomllib.loads(new)
        assert (place["results"][0]["value"] if "." in key else place[key]) == value
    more = tomllib.loads(with_results(text, "[[results]]\nvalue = 1"))
    assert len(more["results"]) == len(table.get("results", [])) + 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('limits = """a\nb"""\n', "limits"),
        ("tags = [\n1]\n", "tags"),
        ("a = 1\n", "source.license"),
    ],
)
def test_what_cannot_be_changed_in_place_is_refused(text, key):
    with pytest.raises(UsageError, match="by hand"):
        with_value(text, key, "x")


def test_a_removed_value_takes_its_line_with_it():
    text = 'a = 1\n[source]\nlicense = "x"\nparity = { atol = 1 }  # old\n[source.files]\n'
    assert with_value(text, "source.parity", None) == text.replace(
        "parity = { atol = 1 }  # old\n", ""
    )
