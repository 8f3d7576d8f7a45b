"""`genae new`: a card for one's own data, which trains as it is."""

import json

import numpy as np
import pytest
from PIL import Image

from zoo import catalog
from zoo.card import Card
from zoo.cli import app
from zoo.data.describing import describe_images
from zoo.data.text.describing import describe_texts
from zoo.errors import GenaeError, UsageError
from zoo.training import train
from zoo.training.beginning import new_card
from zoo.training.starts import IMAGES, POINTS

WORDS = "the lazy dog sees a quick red fox jump over it".split()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Images of two classes, texts, and tables of texts, as somebody has them."""
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for number in range(24):
        folder = root / "images" / ("train", "val")[number > 20] / ("hats", "shoes")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (root / "grey").mkdir(exist_ok=True)
        Image.fromarray(pixels[..., :1].repeat(3, -1)).save(root / "grey" / f"{number}.png")
    lines = [" ".join(rng.choice(WORDS, 9)) for _ in range(60)]
    (root / "mine.txt").write_text("\n".join(lines))
    rows = [{"zh": line, "en": line[::-1], "mood": "ab"[i % 2]} for i, line in enumerate(lines)]
    (root / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    rated = "".join(f"{line},{'good' if i % 2 else 'bad'}\n" for i, line in enumerate(lines))
    (root / "rated.csv").write_text(f"review,label\n{rated}")
    tagged = [{"tokens": WORDS, "tags": [str(len(w) > 3) for w in WORDS]} for _ in range(9)]
    (root / "tagged.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in tagged))
    return root


def data_for(entry):
    """Data that an architecture learns."""
    if entry.reads == "images":
        return "images"
    if catalog.HEADS["ForConditionalGeneration"][0] == entry.auto:
        return "pairs.jsonl"
    return "rated.csv" if entry.name.endswith("electra") else "mine.txt"


every_learner = pytest.mark.parametrize(
    "entry",
    [entry for entry in catalog.ARCHITECTURES.values() if entry.learns],
    ids=lambda entry: entry.name,
)


@every_learner
def test_every_architecture_has_a_first_card_with_a_comment_behind_every_key(own, entry):
    text = new_card("lab/clothes", str(own / data_for(entry)), entry.name)
    card = Card.parse(text)  # that its parts can be built was seen when it was made
    assert (card.id, card.architecture, card.version) == ("lab/clothes", entry.name, "0.1.0")
    keys = [line for line in text.splitlines() if " = " in line.partition("#")[0]]
    bare = [line for line in keys if "# " not in line]
    theirs = () if entry.own else card.config  # whose fields transformers does not describe
    assert {line.partition(" = ")[0] for line in bare} <= set(theirs)
    if entry.reads == "images":
        assert card.config["num_channels"] == card.processor["num_channels"] == 3
        assert card.data.validation_split == "validation"
        assert card.config.get("num_labels", 2) == 2
        assert card.train.arguments["per_device_train_batch_size"] <= 21
    else:
        assert card.tokenizer["kind"]


@pytest.mark.parametrize("architecture", [name for name, of in IMAGES.items() if POINTS in of])
def test_points_of_the_plane_have_first_cards_too(architecture):
    assert Card.parse(new_card("dots", "gaussians-2d", architecture)).config["input_shape"] == [2]


def test_what_the_data_tells(own):
    facts = describe_images(str(own / "images"))
    assert (facts.count, facts.width, facts.height) == (21, 30, 20)
    assert (facts.num_channels, facts.num_labels, facts.splits) == (3, 2, ("validation",))
    assert describe_images(str(own / "grey")).num_channels == 1  # whatever the mode of the files
    pairs = describe_texts(str(own / "pairs.jsonl"))
    assert pairs.texts == ("zh", "en", "mood")
    assert describe_texts(str(own / "rated.csv")).labels == ("label",)
    tagged = describe_texts(str(own / "tagged.jsonl"))
    assert (tagged.texts, tagged.marks) == ((), ("tags",))


@pytest.mark.parametrize(
    ("data", "architecture", "task", "expected"),
    [
        ("rated.csv", "bert", None, ("masked-lm", ["review"], None)),
        ("rated.csv", "bert", "classification", ("classification", ["review"], "label")),
        ("tagged.jsonl", "bert", None, ("tags", ["text"], None)),
        ("pairs.jsonl", "synthesizer", "seq2seq", ("seq2seq", ["zh", "en"], None)),
        ("mine.txt", "synthesizer", None, ("causal-lm", ["text"], None)),
    ],
)
def test_tasks_and_columns_are_read_off_the_data(own, data, architecture, task, expected):
    card = Card.parse(new_card("notes", str(own / data), architecture, task))
    from zoo.data.text import TASKS

    found = TASKS[card.data.task]
    columns = card.data.columns or list(found.columns)
    assert (found.name, columns, card.data.label or found.label) == expected
    assert card.id == "local/notes"


@pytest.mark.parametrize(
    ("data", "architecture", "task", "message"),
    [
        ("grey", "classifier", None, "no labels, which classifier learns; put those of each"),
        ("mine.txt", "vae", None, "vae reads images: .*mine.txt is not a Parquet file"),
        ("images", "bert", None, "bert reads texts: .*has no files of texts"),
        ("mine.txt", "t5", None, "has texts in text, and t5 learns other data .seq2seq: 2 col"),
        ("mine.txt", "t5", "masked-lm", "t5 has no head for masked-lm; it learns seq2seq"),
        ("mine.txt", "bert", "masked", "no task is called 'masked'. Did you mean 'masked-lm'"),
        ("images", "vae", "tags", "--task is of texts"),
        ("nothing", "vae", None, "vae reads images: no data set"),
        ("images", "layers", None, "'layers' is what files of Keras become: `genae convert"),
        ("images", "vea", None, "no architecture named 'vea'. Did you mean 'vae'"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(own, data, architecture, task, message):
    with pytest.raises(GenaeError, match=message) as caught:
        new_card("lab/x", str(own / data), architecture, task)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_id_is_refused(own):
    with pytest.raises(UsageError, match="owner"):
        new_card("a/b/c", str(own / "grey"), "vae")


def test_the_command_writes_once_and_says_what_follows(own, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["new", "lab/clothes", "--data", str(own / "grey"), "--architecture", "vae"]
    assert not app(words, standalone_mode=False)
    said = capsys.readouterr()
    assert said.out == "recipes/clothes/card.toml\n"
    assert said.err == "try: genae train recipes/clothes\n"
    assert not app([*words, "-o", "other", "--json"], standalone_mode=False)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"card": "other/card.toml", "id": "lab/clothes"}
    assert said.err == ""
    card = Card.load("recipes/clothes")
    folder = train(card, "out/clothes", overrides=["max_steps=2", "use_cpu=true"], quiet=True)
    made = Card.load(folder)
    assert (made.id, made.base_model) == ("local/clothes", "lab/clothes")
    assert app(words, standalone_mode=False) == 7
    assert "recipes/clothes/card.toml exists already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
@every_learner
def test_every_first_card_trains(own, entry, tmp_path):
    card = Card.parse(new_card("lab/clothes", str(own / data_for(entry)), entry.name))
    settings = ["max_steps=2", "use_cpu=true", "save_strategy=no"]
    settings += ["hold_steps=1", "anneal_steps=1", "cool_steps=1"] * ("scores" in entry.can)
    folder = train(card, tmp_path / "out", overrides=settings, quiet=True)
    assert (folder / "model.safetensors").is_file()
