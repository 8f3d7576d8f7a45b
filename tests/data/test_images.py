"""Data sets: every place they come from gives the same images."""

import bz2
import hashlib
import os
import re
import sys
import threading
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from zoo.data import (
    DATASETS,
    ImageDataset,
    Images,
    binarize,
    freeze_binarized,
    load_images,
)
from zoo.data.addresses import read_in_order
from zoo.errors import IntegrityError, NotFoundError, UnreachableError, UsageError
from zoo.models.images.image_processing_genae import GenaeImageProcessor
from zoo.places import Place

GREY = GenaeImageProcessor(size=28)
# SHA-256 of the published draws: of a ramp of all values, and of the 10,000 MNIST test images.
DRAWN = "9b555d7f981fb4e9f4196b1b44270d3af051adfe12d8bfdd1414ba9fd6623c66"
DRAWN_MNIST = "6009f3c3ec994197232738e50595f7580cbe4a6c603cd81313be65620a2be832"


@pytest.fixture
def drawn() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (10, 28, 28), dtype=np.uint8)


@pytest.fixture
def cells(drawn, png) -> list[dict]:
    return [{"bytes": png(Image.fromarray(image)), "path": None} for image in drawn]


def write_parquet(path, cells, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays = {"image": pa.array(cells, kind), **{k: pa.array(v) for k, v in columns.items()}}
    pq.write_table(pa.table(arrays), path)
    return path


@pytest.fixture
def folder(tmp_path, drawn):
    for number, image in enumerate(drawn):
        Image.fromarray(image).save(tmp_path / f"{number:02d}-{number % 3}.png")
    return tmp_path


@pytest.fixture
def table(tmp_path, cells):
    labels = [number % 3 for number in range(10)]
    return write_parquet(tmp_path / "set" / "train-0.parquet", cells, label=labels)


def assert_same(images: Images, drawn: np.ndarray, labels=None) -> None:
    assert images.pixels.dtype == torch.uint8
    np.testing.assert_array_equal(images.pixels.numpy(), drawn[:, None])
    expected = [n % 3 for n in range(10)] if labels is None else labels
    assert images.labels is not None
    assert images.labels.tolist() == expected


def test_folder_parquet_file_and_parquet_folder_agree(folder, table, drawn):
    assert_same(load_images(table, "train", GREY), drawn)
    assert_same(load_images(table.parent, "train", GREY), drawn)
    table.unlink()
    assert_same(load_images(folder, "train", GREY), drawn)


@pytest.mark.parametrize(
    ("split", "slice_"),
    [
        ("train[:4]", slice(0, 4)),
        ("train[4:]", slice(4, None)),
        ("train[-3:]", slice(7, None)),
        ("train[50%:]", slice(5, None)),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_split_slicing_works_everywhere(request, drawn, kind, split, slice_):
    place = request.getfixturevalue("folder" if kind == "folder" else "table")
    labels = [number % 3 for number in range(10)][slice_]
    assert_same(load_images(place, split, GREY), drawn[slice_], labels)


def put(folder, name):
    """The address of a copy of a folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            path = f"/{name}/{file.relative_to(folder).as_posix()}"
            fsspec.filesystem("memory").pipe_file(path, file.read_bytes())
    return f"memory://{name}"


def test_images_at_an_address_are_those_of_the_files(tmp_path, digit, png, cells, capsys):
    for number in range(6):
        for name in ("train/cat", "train/dog", "test/dog", "other"):
            file = tmp_path / "files" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            digit.rotate(number * 10).save(file)
    turned = digit.rotate(90)
    digit.save(tmp_path / "files/train/cat/7.gif", save_all=True, append_images=[turned])
    damaged = bytearray(png(digit))
    damaged[-5] ^= 1
    (tmp_path / "files/train/cat/8.png").write_bytes(damaged)
    cells[3]["bytes"] = b"none"
    for part, numbers in (("train-1", range(3, 10)), ("train-0", range(3)), ("test", [1])):
        label = [float(number) for number in numbers]
        write_parquet(
            tmp_path / "tables" / f"{part}.parquet", [cells[n] for n in numbers], label=label
        )
    for kind in ("files", "tables"):
        address = put(tmp_path / kind, f"same-{kind}")
        for split in ("train", "test", "train[2:5]", "test+train[-3:]", "train[:1]+train[4:]"):
            here = load_images(tmp_path / kind, split, GREY)
            note = capsys.readouterr().err.replace(f"{tmp_path / kind}", address)
            note = re.sub(f"(?m)^{address}/", f"data set {address}, ", note)
            there = load_images(address, split, GREY)
            assert torch.equal(here.pixels, there.pixels)
            assert torch.equal(here.labels, there.labels)
            assert capsys.readouterr().err.splitlines() == note.splitlines()
        assert len(load_images(address, "train", GREY, max_images=2, quiet=True)) == 2
        for split in ("valid", "train[:x]", "train[5:5]", ""):
            with pytest.raises(UsageError, match="split"):
                load_images(address, split, GREY, quiet=True)
    with pytest.raises(NotFoundError, match="no such file or folder"):
        load_images("memory://nothing", "train", GREY)


def test_files_elsewhere_are_read_several_at_a_time_and_in_order(monkeypatch):
    together = threading.Barrier(4)  # each waits until four are asked for at one time

    def read(self, path):
        together.wait(timeout=60)
        return path.encode()

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", read)
    paths = [str(number) for number in range(12)]
    found = [*read_in_order(Place("memory://many"), paths)]
    assert found == [f"/many/{path}".encode() for path in paths]


def test_of_a_table_at_an_address_only_the_groups_asked_for_are_read(tmp_path, cells, monkeypatch):
    file = write_parquet(tmp_path / "t/train.parquet", cells, label=list(range(10)))
    pq.write_table(pq.read_table(file), file, row_group_size=3)
    address, read = put(tmp_path / "t", "groups"), []
    batches = pq.ParquetFile.iter_batches

    def counted(self, *args, row_groups, columns):
        read.append((columns[0], *row_groups))
        return batches(self, *args, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    assert load_images(address, "train[4:7]", GREY).labels.tolist() == [4, 5, 6]
    assert read == [("label", 1), ("label", 2), ("image", 1), ("image", 2)]


def test_what_cannot_be_read_at_an_address_is_no_image_left_out(tmp_path, folder, monkeypatch):
    address = put(folder, "fails")
    (tmp_path / "described/train").mkdir(parents=True)
    (tmp_path / "described/train/metadata.csv").write_text("file_name,label\n0.png,7\n")
    with pytest.raises(UsageError, match="a table of metadata describes"):
        load_images(put(tmp_path / "described", "described"), "train", GREY)
    fsspec.filesystem("memory").pipe_file("/damaged/train.parquet", b"PAR1 and no more PAR1")
    with pytest.raises(IntegrityError, match="cannot be read as Parquet"):
        load_images("memory://damaged", "train", GREY)

    def cut_off(*args, **kwargs):
        raise OSError("connection lost")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", cut_off)
    with pytest.raises(UnreachableError, match="connection lost"):
        load_images(address, "train", GREY)


@pytest.mark.parametrize("kind", ["folder", "table"])
@pytest.mark.parametrize("split", ["valid", "train[:x]", "train[5:5]", ""])
def test_a_wrong_split_is_the_users_error(request, kind, split):
    with pytest.raises(UsageError, match="split"):
        load_images(request.getfixturevalue(kind), split, GREY)


def test_max_images_takes_the_first(table, drawn):
    assert len(load_images(table, "train", GREY, max_images=3)) == 3
    with pytest.raises(UsageError, match="at least 1"):
        load_images(table, "train", GREY, max_images=0)


def test_folders_named_as_splits_and_classes(tmp_path, digit):
    for name in ("train/cat/1.png", "train/dog/2.png", "test/dog/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        digit.save(tmp_path / name)
    assert load_images(tmp_path, "train", GREY).labels.tolist() == [0, 1]
    assert load_images(tmp_path, "test", GREY).labels.tolist() == [1]
    assert load_images(tmp_path, "train[1:]", GREY).labels.tolist() == [1]
    digit.save(tmp_path / "train" / "loose.png")
    assert load_images(tmp_path, "train", GREY).labels is None


def test_a_bad_image_is_skipped_and_named(tmp_path, cells, drawn, capsys):
    cells[3] = {"bytes": cells[3]["bytes"][:60], "path": None}
    cells[7] = {"bytes": None, "path": "/etc/hostname"}
    path = write_parquet(tmp_path / "bad.parquet", cells, label=list(range(10)))
    images = load_images(path, "train", GREY)
    kept = [n for n in range(10) if n not in (3, 7)]
    assert_same(images, drawn[kept], kept)
    assert len(images.problems) == 2
    error = capsys.readouterr().err
    assert "row 3" in error
    assert "row 7: holds no image" in error
    assert "skipped 2 of 10" in error
    load_images(path, "train", GREY, quiet=True)
    assert capsys.readouterr().err == "skipped 2 of 10 images\n"


def test_a_folder_is_held_to_the_rules_of_named_files(tmp_path, digit):
    digit.save(tmp_path / "good.png")
    digit.convert("F").save(tmp_path / "float.tiff")
    digit.save(tmp_path / "moving.gif", save_all=True, append_images=[digit.rotate(90)])
    images = load_images(tmp_path, "train", GREY, quiet=True)
    assert len(images) == 1
    assert [Path(problem.partition(":")[0]).name for problem in images.problems] == [
        "float.tiff",
        "moving.gif",
    ]


def test_a_table_is_held_to_them_too(tmp_path, digit):
    for name, mode in (("float.tiff", "F"), ("moving.gif", "L"), ("pages.tiff", "L")):
        more = {"save_all": True, "append_images": [digit.rotate(90)]} if mode == "L" else {}
        digit.convert(mode).save(tmp_path / name, **more)
    names = ("moving.gif", "float.tiff", "pages.tiff")
    digit.save(tmp_path / "good.png")
    cells = [
        {"bytes": (tmp_path / name).read_bytes(), "path": None} for name in (*names, "good.png")
    ]
    images = load_images(write_parquet(tmp_path / "a.parquet", cells), "train", GREY)
    np.testing.assert_array_equal(images.pixels[:, 0], [digit])
    assert ["holds 2 frames" in problem for problem in images.problems] == [True, False, True]


@pytest.mark.parametrize(
    "labels", [["cat", "dog"], [0, None], np.array([2**64 - 1, 0], np.uint64)]
)
def test_a_column_of_other_than_class_numbers_is_said_not_to_be_read(
    tmp_path, cells, capsys, labels
):
    table = write_parquet(tmp_path / "a.parquet", cells[:2], label=labels)
    assert load_images(table, "train", GREY, quiet=True).labels is None
    assert "the column label is not read, as row" in capsys.readouterr().err


def exif(turn: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = turn
    return made


MADE = {
    # name of the file: how it is made of 8-bit greys, and what becomes of them
    "wide.png": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), {}),
    "wide.tiff": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), {}),
    "big-endian.tif": (lambda a: Image.fromarray((a.astype(np.uint16) * 257).astype(">u2")), {}),
    "wide.pgm": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), {}),
    "transparent.png": (lambda a: Image.fromarray(a.astype(np.uint16) * 257),
                        {"transparency": 255 * 257}),
    "ink.tiff": (lambda a: Image.fromarray(a).convert("CMYK"), {}),
    "video.tiff": (lambda a: Image.fromarray(a).convert("RGB").convert("YCbCr"), {}),
    "ink.jpg": (lambda a: Image.fromarray(a).convert("CMYK"), {"quality": 100}),
    "turned.png": (lambda a: Image.fromarray(a), {"exif": exif(6)}),
    "wide turned.png": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), {"exif": exif(6)}),
    "glass.png": (lambda a: Image.fromarray(a).convert("LA"), {}),
    "palette.png": (lambda a: Image.fromarray(a).convert("P"), {"transparency": 255}),
    "palette.gif": (lambda a: Image.fromarray(a).convert("P"), {"transparency": 255}),
    "two.png": (lambda a: Image.fromarray(a).convert("1"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_the_same_as_a_file_in_parquet_and_opened_by_datasets(
    tmp_path, drawn, name, channels
):
    make, options = MADE[name]
    greys = drawn[0]
    file = tmp_path / "folder" / name
    file.parent.mkdir()
    make(greys).save(file, **options)
    processor = GenaeImageProcessor(num_channels=channels, size=28)
    folder = load_images(file.parent, "train", processor)
    cells = [{"bytes": file.read_bytes(), "path": None}]
    table = write_parquet(tmp_path / "a.parquet", cells)
    parquet = load_images(table, "train", processor)
    assert folder.problems == parquet.problems == ()
    assert torch.equal(folder.pixels, parquet.pixels)
    shown = datasets.Image().decode_example(cells[0])
    if shown.mode != "I":  # without its file, whose format says the range
        np.testing.assert_array_equal(processor.to_uint8(shown), folder.pixels[0])
    expected = np.where(greys == 255, 0, greys) if "transparency" in options else greys
    expected = np.rot90(expected, -1) if "exif" in options else expected
    if name not in ("two.png", "palette.gif"):
        off = np.abs(folder.pixels[0].numpy().astype(int) - expected).max()
        assert off <= {"ink.jpg": 3, "video.tiff": 1}.get(name, 0)


def test_another_cards_folder_does_not_hide_the_examples(tmp_path, monkeypatch):
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cards", raising=False)
    assert len(load_images("examples-mnist", "train", GREY, max_images=3)) == 3


def test_a_data_set_of_only_bad_images_is_refused(tmp_path):
    path = write_parquet(tmp_path / "bad.parquet", [{"bytes": b"no", "path": None}] * 2)
    with pytest.raises(UsageError, match="no image of 2"):
        load_images(path, "train", GREY)


def test_a_table_cannot_name_files_outside_its_folder(tmp_path, digit, cells):
    digit.save(tmp_path / "secret.png")
    digit.save(tmp_path / "inside.png")
    (tmp_path / "set").mkdir()
    digit.save(tmp_path / "set" / "inside.png")
    rows = [
        {"bytes": None, "path": "../secret.png"},
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "inside.png"},
    ]
    path = write_parquet(tmp_path / "set" / "t.parquet", rows)
    images = load_images(path, "train", GREY, quiet=True)
    assert len(images) == 1
    assert [problem.split(",")[1].split(":")[0].strip() for problem in images.problems] == [
        "row 0",
        "row 1",
    ]


def test_a_damaged_parquet_file_is_an_integrity_error(tmp_path, table):
    table.write_bytes(table.read_bytes()[:-40])
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_images(table, "train", GREY)


def test_a_table_without_images_is_refused(tmp_path):
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    with pytest.raises(UsageError, match="no column of images among text"):
        load_images(path, "train", GREY)


def test_genae_data_comes_before_the_local_data_folder(tmp_path, cells, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_parquet(tmp_path / "data" / "mnist" / "train-0.parquet", cells, label=[0] * 10)
    assert len(load_images("mnist", "train", GREY)) == 10
    write_parquet(tmp_path / "mine" / "mnist" / "train-0.parquet", cells[:2], label=[0] * 2)
    monkeypatch.setenv("GENAE_DATA", str(tmp_path / "mine"))
    assert len(load_images("mnist", "train", GREY)) == 2
    folders = [tmp_path / "empty", tmp_path / "mine", tmp_path / "data"]
    monkeypatch.setenv("GENAE_DATA", os.pathsep.join(map(str, folders)))
    assert len(load_images("mnist", "train", GREY)) == 2


@pytest.mark.parametrize(
    ("split", "said"),
    [("train[:7]", ""), ("train[2:12]", "has 8 rows, not 10"), ("train[50%:]", "")],
)
def test_a_slice_with_fewer_rows_than_it_names_is_told(tmp_path, cells, capsys, split, said):
    write_parquet(tmp_path / "train-0.parquet", cells, label=[0] * 10)
    load_images(tmp_path, split, GREY)
    assert said in (err := capsys.readouterr().err)
    assert bool(said) == bool(err)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mnits", "Did you mean 'mnist'"),
        ("synthetic-faces", "GENAE_DATA"),
        ("mnist", "GENAE_DATA"),
        ("nobody/nothing", "reached on the Hub"),
    ],
)
def test_an_absent_data_set_says_what_to_do(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=reason):
        load_images(name, "train", GREY)


@pytest.mark.parametrize(
    ("name", "count", "labelled"),
    [
        ("examples-mnist", 64, True),
        ("examples-fashion-mnist", 64, True),
        ("examples-faces", 16, False),
    ],
)
def test_the_examples_ship_and_are_what_their_readme_says(root, name, count, labelled):
    faces = name == "examples-faces"
    processor = GenaeImageProcessor(num_channels=3, size=64) if faces else GREY
    images = load_images(name, "train", processor)
    assert len(images) == count
    assert (images.labels is not None) == labelled
    folder = root / "cards" / "examples" / DATASETS[name].folder
    joined = b"".join(path.read_bytes() for path in sorted(folder.glob("*.png")))
    assert hashlib.sha256(joined).hexdigest() in (folder.parent / "README.md").read_text()


def test_the_examples_are_small(root):
    images = (root / "cards" / "examples").rglob("*.png")
    assert 0 < sum(path.stat().st_size for path in images) < 400_000


def test_example_digits_are_the_test_split(shared_data, monkeypatch):
    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    for name in ("mnist", "fashion-mnist"):
        whole = load_images(name, "test[:64]", GREY)
        shipped = load_images(f"examples-{name}", "train", GREY)
        assert torch.equal(whole.pixels, shipped.pixels)
        assert torch.equal(whole.labels, shipped.labels)


def test_a_loader_takes_whole_batches(drawn):
    images = Images(torch.from_numpy(drawn)[:, None], torch.arange(10), "drawn", "train")
    dataset = ImageDataset(images)
    assert len(dataset) == 10
    assert torch.equal(dataset[4]["pixels"], images.pixels[4])
    loader = DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=lambda batch: batch)
    batches = list(loader)
    assert [len(batch["pixels"]) for batch in batches] == [4, 4, 2]
    order = torch.cat([batch["labels"] for batch in batches])
    assert sorted(order.tolist()) == list(range(10))
    pixels = torch.cat([batch["pixels"] for batch in batches])
    assert torch.equal(pixels, images.pixels[order])
    unlabelled = ImageDataset(Images(images.pixels, None, "drawn", "train"))
    assert set(unlabelled.__getitems__([0, 1])) == {"pixels"}


def test_binarization_keeps_the_mean_and_follows_its_generator():
    values = torch.tensor([0.0, 0.25, 0.5, 1.0]).repeat(20_000, 1)
    drawn = binarize(values, "stochastic", torch.Generator().manual_seed(3))
    again = binarize(values, "stochastic", torch.Generator().manual_seed(3))
    assert torch.equal(drawn, again)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    # Four standard deviations of a mean of 20,000 coins.
    assert torch.allclose(drawn.mean(0), values[0], atol=4 * 0.5 / 20_000**0.5)
    assert drawn[:, 0].max() == 0
    assert drawn[:, 3].min() == 1
    assert binarize(values, "threshold")[0].tolist() == [0, 0, 0, 1]
    assert binarize(values, "none") is values
    with pytest.raises(UsageError, match="'noise'"):
        binarize(values, "noise")


def test_the_room_opens_without_torch(root):
    import subprocess

    code = "import sys, zoo.data; assert not {'torch', 'datasets', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_everything_announced_is_there():
    import zoo.data

    for name in zoo.data.__all__:
        assert getattr(zoo.data, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = zoo.data.nothing


def test_a_frozen_draw_is_the_published_one():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(40).view(40, 1, 16, 16)
    drawn = freeze_binarized(pixels)
    assert drawn.dtype == torch.uint8
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest() == DRAWN
    assert torch.equal(freeze_binarized(pixels[:7]), drawn[:7])
    assert not torch.equal(freeze_binarized(pixels, seed=1), drawn)


def test_a_frozen_draw_has_the_pixels_chances():
    values = torch.tensor([0, 1, 64, 200, 254, 255], dtype=torch.uint8)
    mean = freeze_binarized(values.expand(40_000, -1)).double().mean(0)
    chance = values / 255
    assert mean[0] == 0
    assert mean[-1] == 1
    assert ((mean - chance).abs() <= 4 * (chance * (1 - chance) / 40_000).sqrt()).all()


@pytest.mark.parametrize(
    ("pixels", "seed"), [(torch.rand(2, 2), 0), (torch.zeros(2, dtype=torch.uint8), -1)]
)
def test_a_frozen_draw_is_of_bytes_by_a_seed(pixels, seed):
    with pytest.raises(UsageError):
        freeze_binarized(pixels, seed)


def test_the_frozen_mnist_test_set_is_the_published_one(shared_data, monkeypatch):
    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    pixels = load_images("mnist", "test", GenaeImageProcessor(), quiet=True).pixels
    drawn = freeze_binarized(pixels).numpy()
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == DRAWN_MNIST
    squeezed = len(bz2.compress(np.packbits(drawn).tobytes()))
    assert 8 * squeezed / drawn.size == pytest.approx(0.250, abs=0.001)
