"""Folders of images: the splits and classes of `datasets`, and where we say more."""

import csv
import json

import datasets
import numpy as np
import pytest
from PIL import Image

from zoo.data import load_images
from zoo.data.splits import SPLIT_OF, canonical
from zoo.errors import IntegrityError, NotFoundError, UsageError
from zoo.evaluation.metrics.probe import check_apart
from zoo.models.images.image_processing_genae import GenaeImageProcessor

TINY = GenaeImageProcessor(size=2)
SPLITS = ("train", "validation", "test")
BOTH = ("cat", "dog")


@pytest.fixture
def lay(tmp_path):
    """`lay(paths)`: a folder of those images; the i-th is filled with i."""

    def make(paths):
        for number, path in enumerate(paths):
            file = tmp_path / "images" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((2, 2), number, np.uint8)).save(file)
        return tmp_path / "images"

    return make


def read(folder):
    """Number of each image and its label, by split."""
    found = {}
    for split in SPLITS:
        try:
            images = load_images(folder, split, TINY, quiet=True)
        except UsageError:
            continue
        labels = None if images.labels is None else images.labels.tolist()
        found[split] = (images.pixels[:, 0, 0, 0].tolist(), labels)
    return found


def in_both(*folders):
    return [f"{folder}/{name}/{i}.png" for folder in folders for name in BOTH for i in range(2)]


LAYOUTS = {
    "flat": ["1.png", "0.png"],
    "classes": ["dog/photo-1.png", "cat/photo-1.png", "cat/photo-2.png"],
    "train and val": in_both("train", "val"),
    "training and testing": in_both("training", "testing"),
    "dev and eval": in_both("train", "dev", "eval"),
    "valid and evaluation": in_both("train", "valid", "evaluation"),
    "years": in_both("train2017", "val2017"),
    "numbers": in_both("train-00000", "validation-00000"),
    "below data": in_both("data/train", "data/test"),
    "words": in_both("my train", "my_test.v2"),
    "test only": in_both("test"),
    "file names": ["train-1.png", "train-2.png", "a_test.png", "3 test.png"],
    "file names in classes": [f"{name}/{i}-{s}.png" for s in SPLITS[::2] for name in BOTH
                              for i in range(2)],
    "other words": ["trainset/0.png", "latest/0.png", "testament.png", "evaluate/0.png"],
    "one class": ["cat/0.png", "cat/1.png"],
    "one class in train": ["train/cat/0.png", "train/cat/1.png"],
    "no class in train": ["train/0001-1.png"],
    "one loose": ["cat/0.png", "dog/0.png", "1.png"],
    "two depths": ["cat/0.png", "dog/inner/0.png"],
    "nested": ["a/x/0.png", "a/y/0.png", "b/x/0.png"],
    "a class named train": ["car/0.png", "plane/0.png", "train/0.png"],
    "Capital class": ["Car/0.png", "Plane/0.png", "Train/0.png"],
    "of systems": [*in_both("train"), "__MACOSX/train/cat/._0.png", "__MACOSX/train/cat/0.png",
                   ".cache/train/cat/0.png", "train/cat/.ipynb_checkpoints/0-checkpoint.png"],
    "order": ["a-b/0.png", "a/0.png", "a b/0.png"],
}  # fmt: skip
LABELLED_BY_NAME = {"no class in train"}  # which `datasets` does not know


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_and_classes_are_those_of_datasets(lay, tmp_path, name):
    folder = lay(LAYOUTS[name])
    theirs = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path))
    expected = {}
    for split, table in theirs.items():
        labels = list(table["label"]) if "label" in table.features else None
        expected[split] = ([image.getpixel((0, 0)) for image in table["image"]], labels)
    if name in LABELLED_BY_NAME:
        assert expected["train"][1] is None
        expected["train"] = (expected["train"][0], [1])
    assert read(folder) == expected


MORE = {
    # Where `datasets` would leave the label out of the first split.
    "a class a split": (
        ["train/cat/0.png", "test/dog/0.png"], {"train": ([0], [0]), "test": ([1], [1])}
    ),
    # Where it would take the split for the class.
    "splits without classes": (
        ["train/0.png", "test/0.png"], {"train": ([0], None), "test": ([1], None)}
    ),
    "numbered in splits": (
        ["train/00-7.png", "test/00-3.png"], {"train": ([0], [7]), "test": ([1], [3])}
    ),
    # Where it would train on the test images.
    "capitals": (
        ["Train/cat/0.png", "Test/dog/0.png", "VAL/cat/0.png"],
        {"train": ([0], [0]), "validation": ([2], [0]), "test": ([1], [1])},
    ),
    "one capital": (["train/cat/0.png", "Test/cat/0.png"],
                    {"train": ([0], None), "test": ([1], None)}),
    "test in capitals alone": (["Test/cat/0.png", "overview.png"], {"test": ([0], None)}),
    # Where it would have a second split of the same images.
    "a class named test": (
        ["train/cat/0.png", "train/test/0.png"], {"train": ([0, 1], [0, 1])}
    ),
    "train in test": (["test/a/0.png", "test/train/0.png"], {"test": ([0, 1], [0, 1])}),
    "a running number": (["photo-1.png", "photo-2.png"], {"train": ([0, 1], None)}),
    "dates": (["0-20240101.png", "1-20240102.png"], {"train": ([0, 1], None)}),
    "long numbers": (
        [f"scan-2024010112304512345000{i}.png" for i in range(2)], {"train": ([0, 1], None)}
    ),
    "long classes": (
        [f"{i}-2024010112304512345000{i}.png" for i in range(2)], {"train": ([0, 1], None)}
    ),
    "classes and numbers": (
        ["cat/0000-7.png", "dog/0001-3.png"], {"train": ([0, 1], [0, 1])}
    ),
    "one class and numbers": (["cat/0000-7.png", "cat/0001-3.png"], {"train": ([0, 1], None)}),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_no_test_image_is_trained_on_and_no_number_is_a_class_by_chance(lay, name):
    paths, expected = MORE[name]
    assert read(lay(paths)) == expected


def test_every_word_for_a_split_may_be_asked_for(lay):
    folder = lay([f"{word}/{name}/0.png" for word in ("training", "dev") for name in BOTH])
    for word, split in SPLIT_OF.items():
        if split == "test":
            with pytest.raises(
                UsageError, match=rf"no split '{word}', only train, validation; .* train\[90%:\]$"
            ):
                load_images(folder, word, TINY)
        else:
            images = load_images(folder, word, TINY)
            assert images.labels.tolist() == [0, 1]
    assert len(load_images(folder, "val[:1]+training", TINY)) == 3
    assert canonical("val[:10%]+ dev +other") == "validation[:10%]+ validation +other"
    with pytest.raises(UsageError, match="has seen the answers"):
        check_apart("val", "validation")
    check_apart("val[:5]", "validation[5:]")


def test_what_lies_in_no_split_is_named(lay, capsys):
    folder = lay(["cat/0.png", "train/0.png", "train/1.png"])
    (folder / "more.zip").write_bytes(b"PK")
    load_images(folder, "train", TINY, quiet=True)
    error = capsys.readouterr().err
    assert "1 of 3 images are in no split and are left out" in error
    assert "archives are not read (more.zip); unpack them" in error


def test_archives_alone_are_to_be_unpacked(tmp_path):
    (tmp_path / "train.zip").write_bytes(b"PK")
    with pytest.raises(NotFoundError, match=r"archives, not images \(train\.zip\); unpack them"):
        load_images(tmp_path, "train", TINY)


@pytest.mark.parametrize(
    ("name", "reason"), [("a.zip", "an archive: unpack"), ("a.csv", "not a Par")]
)
def test_a_single_file_is_parquet(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"PK and more")
    with pytest.raises(UsageError, match=rf"is {reason}.*give a folder of images or Parquet"):
        load_images(tmp_path / name, "train", TINY)


def write_metadata(file, rows):
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("words", [True, False])
def test_metadata_says_which_images_there_are_and_what_they_are(lay, name, words):
    folder = lay(["train/x/0.png", "train/x/1.png", "train/y/2.png", "val/3.png"])
    table = {"dog": 1, "cat": 0, "ant": 2}
    for split, rows in {"train": [("x/1.png", "dog"), ("y/2.png", "cat")],
                        "val": [("3.png", "ant")]}.items():  # fmt: skip
        labels = [label if words else table[label] for _, label in rows]
        write_metadata(
            folder / split / name,
            [{"file_name": f, "label": label} for (f, _), label in zip(rows, labels, strict=True)],
        )
    # Words are numbered in their order over all splits: ant, cat, dog.
    train, val = ([2, 1], [0]) if words else ([1, 0], [2])
    assert read(folder) == {"train": ([1, 2], train), "validation": ([3], val)}
    assert load_images(folder, "train[1:]", TINY).labels.tolist() == train[1:]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata_is_read_as_datasets_reads_it(lay, tmp_path, name):
    folder = lay(["train/x/0.png", "train/x/1.png", "dev/2.png", "dev/3.png"])
    write_metadata(folder / "dev" / name, [{"file_name": "3.png", "label": 5}])
    rows = [{"file_name": f"x/{i}.png", "label": i + 7} for i in (1, 0)]
    write_metadata(folder / "train" / name, rows)
    theirs = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path))
    expected = {
        split: ([image.getpixel((0, 0)) for image in table["image"]], list(table["label"]))
        for split, table in theirs.items()
    }
    assert read(folder) == expected
    assert expected["train"] == ([1, 0], [8, 7])


def test_metadata_outside_of_the_splits_is_none_and_capitals_are_splits_there_too(lay):
    folder = lay(in_both("train", "val"))
    write_metadata(folder / "metadata.csv", [{"name": "of something else"}])
    assert read(folder)["validation"] == ([4, 5, 6, 7], [0, 0, 1, 1])
    (folder / "metadata.csv").unlink()
    for before, after in (("train", "Train"), ("val", "Test")):
        (folder / before).rename(folder / after)
        write_metadata(
            folder / after / "metadata.csv", [{"file_name": "cat/0.png", "label": "cat"}]
        )
    assert read(folder) == {"train": ([0], [0]), "test": ([4], [0])}


def test_metadata_without_labels_leaves_class_folders_out_as_datasets_does(lay):
    folder = lay(["cat/0.png", "dog/1.png"])
    write_metadata(folder / "metadata.csv", [{"file_name": "dog/1.png", "source": "mine"}])
    assert read(folder) == {"train": ([1], None)}


def test_metadata_without_file_names_is_refused_with_the_way_out(lay):
    folder = lay(["cat/0.png", "dog/1.png"])
    write_metadata(folder / "metadata.csv", [{"name": "dog/1.png"}])
    with pytest.raises(UsageError, match=r"metadata\.csv\); name that column, or rename the file"):
        load_images(folder, "train", TINY)
    (folder / "metadata.csv").rename(folder / "notes.csv")
    assert read(folder) == {"train": ([0, 1], [0, 1])}


def test_metadata_cannot_name_files_elsewhere(lay, tmp_path):
    folder = lay(["0.png"])
    Image.new("L", (2, 2)).save(tmp_path / "secret.png")
    write_metadata(folder / "metadata.csv", [{"file_name": "../secret.png"}])
    with pytest.raises(IntegrityError, match=r"secret\.png"):
        load_images(folder, "train", TINY)


def test_what_metadata_leaves_out_is_said(lay, capsys):
    """`datasets` is silent about both."""
    folder = lay(in_both("train", "test"))
    write_metadata(folder / "metadata.csv", [{"file_name": "train/cat/0.png", "label": 3}])
    (folder / "Labels.csv").write_text("id,label\n0,cat\n")
    load_images(folder, "train", TINY, quiet=True)
    error = capsys.readouterr().err
    assert "metadata.csv is not read, as it is outside of the splits" in error
    assert "not read: Labels.csv; describe images in a metadata.csv" in error
    write_metadata(folder / "train" / "metadata.csv", [{"file_name": "cat/0.png", "label": 3}])
    assert len(load_images(folder, "train", TINY, quiet=True)) == 1
    assert "7 of 8 images are named in no metadata and left out" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "file_name,label\n", "file_name\n\udcff\n"])
def test_metadata_that_cannot_be_read_is_named(lay, text):
    folder = lay(["0.png"])
    (folder / "metadata.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises((UsageError, IntegrityError), match=r"data set .*(metadata|images|rows)"):
        load_images(folder, "train", TINY)


@pytest.mark.parametrize(
    ("labels", "expected"), [(("1", "0"), [1, 0]), (("1.0", "0.0"), [1, 0]), (("1", ""), None)]
)
def test_labels_of_metadata_are_whole_numbers_or_said_not_to_be(lay, capsys, labels, expected):
    folder = lay(["0.png", "1.png"])
    rows = [{"file_name": f"{i}.png", "label": label} for i, label in enumerate(labels)]
    write_metadata(folder / "metadata.csv", rows)
    assert read(folder) == {"train": ([0, 1], expected)}
    told = "the column label is not read, as row 1 holds None" in capsys.readouterr().err
    assert told == (expected is None)


@pytest.mark.parametrize("suffix", ["jp2", "dib", "tga", "JFIF", "tiff"])
def test_images_of_rarer_kinds_are_none_the_less(lay, suffix):
    folder = lay(["cat/0.png", f"dog/1.{suffix}"])
    assert read(folder)["train"][1] == [0, 1]
