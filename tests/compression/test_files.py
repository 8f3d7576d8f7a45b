"""Compressed files: everything comes back, and nothing wrong ever does."""

import random
import string
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.compression.conftest import SIDE, make_model, write_images
from zoo.compression import compress, decompress, predict
from zoo.compression.codec import coded, fitting_shapes
from zoo.compression.container import SIGNATURE, Container
from zoo.compression.names import pack, unpack
from zoo.errors import ConflictError, IntegrityError, NotFoundError, UnsafeError, UsageError
from zoo.registry import load_card

LEVELS = {"bernoulli": 1, "beta_binomial": 255}


@pytest.fixture
def images(model, tmp_path):
    return write_images(tmp_path / "in", 6, LEVELS[model.name])


@pytest.fixture
def packed(model, images, tmp_path):
    compress([images], tmp_path / "out.gnz", model)
    return tmp_path / "out.gnz"


def content_of(folder):
    found = {}
    for file in sorted(folder.rglob("*.png")):
        with Image.open(file) as image:
            found[file.relative_to(folder).as_posix()] = image.mode, image.tobytes()
    return found


def test_images_come_back_under_their_names(model, images, packed, tmp_path):
    write_images(images / "more", 2, LEVELS[model.name], seed=1)
    facts = compress([images], tmp_path / "all.gnz", model)
    assert facts["images"] == 8
    assert facts["bytes"] == (tmp_path / "all.gnz").stat().st_size
    decompress(tmp_path / "all.gnz", tmp_path / "back", model)
    assert content_of(tmp_path / "back") == content_of(images)


def test_the_same_input_gives_the_same_bytes(model, images, packed, tmp_path):
    compress([images], tmp_path / "again.gnz", model)
    assert (tmp_path / "again.gnz").read_bytes() == packed.read_bytes()


def test_images_of_mode_1_come_back_so(models, tmp_path):
    folder = write_images(tmp_path / "in", 3, 1, mode="1")
    compress([folder], tmp_path / "o.gnz", models["bernoulli"])
    decompress(tmp_path / "o.gnz", tmp_path / "back", models["bernoulli"])
    assert content_of(tmp_path / "back") == content_of(folder)


def test_colours_of_another_size_come_back(colour, tmp_path):
    folder = write_images(tmp_path / "in", 5, 255, mode="RGB", side=9)
    told = predict([folder], colour)
    facts = compress([folder], tmp_path / "o.gnz", colour)
    assert facts["bits_per_pixel"] == pytest.approx(8 * facts["bytes"] / (5 * 3 * 81), abs=1e-4)
    assert told["bytes"] == pytest.approx(facts["bytes"], rel=0.1)
    decompress(tmp_path / "o.gnz", tmp_path / "back", colour)
    assert content_of(tmp_path / "back") == content_of(folder)


def test_a_file_of_colours_holds_no_other_number_of_channels(colour, tmp_path):
    folder = write_images(tmp_path / "in", 1, 255, mode="RGB", side=9)
    compress([folder], tmp_path / "o.gnz", colour)
    container = Container.from_bytes((tmp_path / "o.gnz").read_bytes(), "it")
    assert (container.mode, container.shape) == ("RGB", (3, 9, 9))
    for changed in ({"mode": "L"}, {"mode": "1"}, {"shape": (1, 9, 9)}):
        with pytest.raises(IntegrityError, match="channels"):
            Container.from_bytes(replace(container, **changed).to_bytes(), "it")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_a_model_of_colours_takes_no_other_modes(colour, tmp_path, mode):
    folder = save(tmp_path / "in", "a.png", Image.new(mode, (9, 9)))
    with pytest.raises(UsageError, match=r"the model takes mode RGB; .*genae train .*SIDE"):
        compress([folder], tmp_path / "out.gnz", colour)
    assert not list(tmp_path.glob("*.gnz"))


def test_a_file_from_before_there_were_colours_is_still_read(root, tmp_path):
    fixture = root / "tests/fixtures/compression"
    facts = decompress(fixture / "grey.gnz", tmp_path / "back", fixture / "model")
    assert (facts["images"], facts["mode"]) == (3, "L")
    assert content_of(tmp_path / "back") == content_of(fixture / "images")
    compress([fixture / "images"], tmp_path / "again.gnz", fixture / "model")
    assert (tmp_path / "again.gnz").read_bytes() == (fixture / "grey.gnz").read_bytes()


def test_any_flipped_byte_is_noticed(packed):
    content = packed.read_bytes()
    for place in range(len(content)):
        for flip in (1 << place % 8, 0xFF):
            damaged = bytearray(content)
            damaged[place] ^= flip
            with pytest.raises(IntegrityError):
                Container.from_bytes(bytes(damaged), "it")


def test_any_cut_and_anything_added_is_noticed(packed):
    content = packed.read_bytes()
    for damaged in [content[:end] for end in range(len(content))] + [content + b"\0", content * 2]:
        with pytest.raises(IntegrityError):
            Container.from_bytes(damaged, "it")


def test_a_damaged_file_leaves_no_folder(model, packed, tmp_path):
    content = bytearray(packed.read_bytes())
    content[-6] ^= 1
    packed.write_bytes(content)
    with pytest.raises(IntegrityError):
        decompress(packed, tmp_path / "back", model)
    assert not (tmp_path / "back").exists()


def test_a_forged_stack_gives_no_images(model, packed, tmp_path):
    container = Container.from_bytes(packed.read_bytes(), "it")
    words = container.chains[0].words.copy()
    words[len(words) // 2] ^= np.uint32(1)
    forged = replace(container, chains=[replace(container.chains[0], words=words)])
    packed.write_bytes(forged.to_bytes())
    with pytest.raises(IntegrityError):
        decompress(packed, tmp_path / "back", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.gnz"]


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a\\b.png", "a/../b.png", "C:a.png", "a"])
def test_hostile_names_write_nothing(model, packed, tmp_path, name):
    container = Container.from_bytes(packed.read_bytes(), "it")
    packed.write_bytes(replace(container, names=[name, *container.names[1:]]).to_bytes())
    with pytest.raises(UnsafeError):
        decompress(packed, tmp_path / "back", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.gnz"]


def test_another_model_or_version_is_a_conflict(model, packed, tmp_path):
    other = make_model(tmp_path / "other", model.name, seed=1)  # the same id, other weights
    with pytest.raises(ConflictError, match=r"1\.2\.3"):
        decompress(packed, tmp_path / "back", other)
    container = Container.from_bytes(packed.read_bytes(), "it")
    for changed in ({"version": "2.0.0"}, {"id": "me/other"}):
        identity = replace(container.identity, **changed)
        packed.write_bytes(replace(container, identity=identity).to_bytes())
        with pytest.raises(ConflictError):
            decompress(packed, tmp_path / "back", model)
    assert not (tmp_path / "back").exists()


def test_a_missing_model_is_not_found(packed, tmp_path):
    with pytest.raises(NotFoundError):
        decompress(packed, tmp_path / "back", tmp_path / "nowhere")
    container = Container.from_bytes(packed.read_bytes(), "it")
    identity = replace(container.identity, id="genae/vae-mnist-99bit")
    packed.write_bytes(replace(container, identity=identity).to_bytes())
    with pytest.raises(NotFoundError):
        decompress(packed, tmp_path / "back")


@pytest.mark.parametrize(("number", "said"), [(1, "an older genae"), (3, "a newer genae")])
def test_another_format_is_a_conflict_that_names_it(packed, number, said):
    content = bytearray(packed.read_bytes())
    start = len(SIGNATURE)
    size = int.from_bytes(content[start : start + 4], "little")
    content[start + 4] = number
    end = start + 4 + size
    content[end : end + 4] = zlib.crc32(content[start:end]).to_bytes(4, "little")
    with pytest.raises(ConflictError, match=said):
        Container.from_bytes(bytes(content), "it")


def save(folder, name, image):
    folder.mkdir(exist_ok=True)
    image.save(folder / name)
    return folder


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (Image.new("L", (SIDE + 1, SIDE)), "7 x 6"),
        (Image.new("RGB", (SIDE, SIDE)), "mode RGB"),
        (Image.new("LA", (SIDE, SIDE)), "transparency"),
        (Image.new("P", (SIDE, SIDE)), "mode P"),
        (Image.new("I;16", (SIDE, SIDE)), "more than 8 bits"),
    ],
)
def test_other_sizes_and_modes_are_refused_before_coding(model, images, tmp_path, image, word):
    save(images, "z.png", image)
    with pytest.raises(UsageError, match=word):
        compress([images], tmp_path / "out.gnz", model)
    assert not list(tmp_path.glob("*.gnz"))


def test_grey_images_are_sent_to_another_model(models, tmp_path, monkeypatch):
    folder = save(tmp_path / "in", "a.png", Image.new("L", (SIDE, SIDE), 7))
    with pytest.raises(UsageError, match="only the values 0 and 255"):
        compress([folder], tmp_path / "out.gnz", models["bernoulli"])


def test_two_images_of_one_name_and_mixed_modes_are_refused(models, tmp_path):
    one = write_images(tmp_path / "a", 1, 1)
    two = write_images(tmp_path / "b", 1, 1)
    with pytest.raises(ConflictError, match="both"):
        compress([one, two], tmp_path / "out.gnz", models["bernoulli"])
    save(one, "z.png", Image.new("1", (SIDE, SIDE)))
    with pytest.raises(UsageError, match="two files"):
        compress([one], tmp_path / "out.gnz", models["bernoulli"])


def test_nothing_is_overwritten(model, images, packed, tmp_path):
    with pytest.raises(ConflictError):
        compress([images], packed, model)
    with pytest.raises(ConflictError):
        decompress(packed, images, model)


def test_a_model_that_cannot_compress_says_which_can(images, tmp_path):
    with pytest.raises(UsageError, match="dense"):
        compress([images], tmp_path / "out.gnz", "genae/vae-mnist")


def test_the_predicted_size_is_nearly_the_files(model, tmp_path):
    folder = write_images(tmp_path / "in", 200, LEVELS[model.name])
    told = predict([folder], model)
    made = compress([folder], tmp_path / "out.gnz", model)
    assert told["bytes"] == pytest.approx(made["bytes"], rel=0.02)
    assert told["images"] == made["images"] == 200
    whole = made["net_bits_per_pixel"] * 200 * SIDE**2 / 8 + made["seed_bytes"]
    assert made["bytes"] - whole == pytest.approx(made["name_bytes"] + 100, abs=60)


def test_shapes_that_fit_are_told():
    cards = [load_card("genae/vae-mnist-binary"), load_card("genae/vae-mnist-8bit")]
    assert all(map(coded, cards))
    assert not coded(load_card("genae/vae-mnist"))
    told = fitting_shapes(cards)
    assert "genae/vae-mnist-binary takes two-valued images of 28 x 28 grey pixels" in told
    assert "genae/vae-mnist-8bit takes 8-bit images of 28 x 28 grey pixels" in told


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_names_come_back(names):
    assert unpack(pack(names), len(names)) == names


@given(
    st.text(string.ascii_letters, max_size=4), st.integers(0, 10**6), st.integers(0, 7),
    st.integers(1, 3), st.integers(1, 50),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_numbered_names_come_back_in_few_bytes(stem, first, width, step, count):
    names = [f"{stem}{first + step * i:0{width}}.png" for i in range(count)]
    assert unpack(pack(names), count) == names


def test_numbered_names_take_less_than_two_bytes_each():
    numbers = random.Random(0)
    assert len(pack([f"{i:05}.png" for i in range(300)])) < 300
    assert len(pack([f"{i:05}-{numbers.randrange(10)}.png" for i in range(300)])) < 600


@pytest.mark.parametrize("count", [2, 4, 10**6])
def test_names_of_another_number_are_refused(count):
    for names in (["a", "b", "x"], ["1.png", "3.png", "2.png"]):
        with pytest.raises(ValueError, match="names"):
            unpack(pack(names), count)
