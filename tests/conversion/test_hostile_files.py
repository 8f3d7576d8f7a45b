"""Damaged files end in an error of ours that names the file, whatever is in them."""

import base64
import contextlib
import json
import marshal
import resource
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convert
from convert.readers.keras.attributes import Attributes
from convert.wire.crc32c import crc32c, mask
from tests.conversion.bundles import (
    MAGIC,
    block,
    entry,
    extents_of,
    field,
    shape_of,
    slice_key,
    table,
    varint,
    write_bundle,
)
from tests.conversion.makers import MAKERS, read_all, v1_meta, v1_slice, write_v1
from tests.conversion.records import LEGACY
from zoo.errors import GenaeError, IntegrityError, NotAllowedError, NotFoundError

CONFIG = json.loads((LEGACY / "bert_segment5/bert_config.json").read_text("utf-8"))
HEADER = {b"": field(1, 1)}


def sealed(content: bytes, kind: int = 0) -> bytes:
    """A table whose only data block is `content`, checksums right."""
    out = bytearray()

    def add(piece: bytes, mark: int = 0) -> bytes:
        stored = piece + bytes([mark])
        place = varint(len(out)) + varint(len(piece))
        out.extend(stored + mask(crc32c(stored)).to_bytes(4, "little"))
        return place

    handle = add(content, kind)
    meta, index = add(block([])), add(block([(b"\xff", handle)]))
    return bytes(out) + (meta + index).ljust(40, b"\0") + MAGIC


def sliced(extents, shape=(4, 2), stored=None) -> dict[bytes, bytes]:
    """A partitioned variable whose slices are not what they should be."""
    records = dict(HEADER)
    full = b"".join(field(7, extents_of(extent)) for extent in extents)
    records[b"v"] = field(1, 1) + field(2, shape_of(shape)) + full
    for extent in extents if stored is None else stored:
        part = tuple(length if length >= 0 else size for (_, length), size in zip(extent, shape))  # noqa: B905
        records[slice_key("v", extent)] = entry(1, part, size=int(np.prod(part)) * 4)
    return records


good = table(HEADER | {b"x": entry(1, (2,), size=8)})
INDEXES = {
    "nothing": b"",
    "short": good[:40],
    "magic": good[:-1] + b"\0",
    "footer": b"\xff" * 40 + MAGIC + b"",
    "block checksum": bytes([good[0] ^ 1]) + good[1:],
    "handle past the end": good[:-48]
    + (varint(10**9) + varint(5) + varint(0) + varint(9)).ljust(40, b"\0")
    + MAGIC,
    "compression": sealed(block([(b"", b"\x08\x01")]), kind=7),
    "restarts": sealed(b"\xff\xff\xff\x7f"),
    "shared beyond the last key": sealed(
        varint(5) + varint(1) + varint(0) + b"a" + b"\0\0\0\0\1\0\0\0"
    ),
    "value past the block": sealed(
        varint(0) + varint(1) + varint(99) + b"a" + b"\0\0\0\0\1\0\0\0"
    ),
    "keys out of order": sealed(block([(b"", b"\x08\x01"), (b"b", b""), (b"a", b"")])),
    "key twice": sealed(block([(b"", b"\x08\x01"), (b"a", b""), (b"a", b"")])),
    "no header": table({b"x": entry(1, (2,), size=8)}),
    "no shards": table({b"": b""}),
    "shards below zero": table({b"": field(1, -3)}),
    "byte order": table({b"": field(1, 1) + field(2, 9)}),
    "newer reader": table({b"": field(1, 1) + field(3, field(2, 7))}),
    "group wire type": table({b"": field(1, 1) + b"\x0b"}),
    "field 0": table({b"": b"\x00\x01"}),
    "endless number": table({b"": b"\x08" + b"\xff" * 11}),
    "field past the end": table({b"": field(1, 1) + b"\x1a\x7f"}),
    "unknown rank": table(HEADER | {b"x": field(1, 1) + field(2, field(3, 1))}),
    "axis below zero": table(HEADER | {b"x": entry(1, (-5,), size=8)}),
    "astronomic shape": table(HEADER | {b"x": entry(1, (2**40, 2**40), size=8)}),
    "no type": table(HEADER | {b"x": field(2, shape_of((2,)))}),
    "size and shape": table(HEADER | {b"x": entry(1, (3,), size=8)}),
    "size below zero": table(HEADER | {b"x": entry(1, (2,), size=-8)}),
    "offset below zero": table(HEADER | {b"x": entry(1, (2,), offset=-8, size=8)}),
    "shard": table(HEADER | {b"x": entry(1, (2,), shard=3, size=8)}),
    "past the data": table(HEADER | {b"x": entry(1, (2,), offset=4096, size=8)}),
    "tensor checksum": table(HEADER | {b"x": entry(1, (2,), size=8, checksum=1)}),
    "name": table(HEADER | {b"\xff\xfe": entry(1, (2,), size=8)}),
    "slice outside": table(sliced([[(0, 2), (0, -1)], [(3, 2), (0, -1)]])),
    "slices overlap": table(sliced([[(0, 2), (0, -1)], [(1, 2), (0, -1)]])),
    "slice missing": table(sliced([[(0, 2), (0, -1)]])),
    "slice not stored": table(sliced([[(0, 4), (0, -1)]], stored=[])),
    "slice of other rank": table(sliced([[(0, 4)]])),
    "slice of other type": table(
        sliced([[(0, 4), (0, -1)]])
        | {slice_key("v", [(0, 4), (0, -1)]): entry(3, (4, 2), size=32)}
    ),
    "restart past the entries": sealed(
        varint(0) + varint(0) + varint(2) + b"\x08\x01" + b"\xff\0\0\0\1\0\0\0"
    ),
    "key past the block": sealed(varint(0) + varint(99) + varint(0) + b"a" + b"\0\0\0\0\1\0\0\0"),
    "block larger than the file": good[:-48]
    + (varint(0) + varint(9) + varint(0) + varint(2**40)).ljust(40, b"\0")
    + MAGIC,
    "snappy from nowhere": sealed(b"\x06\x08abc\x0a\x00\x00", kind=1),
    "snappy past its end": sealed(b"\x06\x20abc", kind=1),
    "snappy of another length": sealed(b"\x05\x08abc", kind=1),
    "snappy bomb": sealed(varint(2**32) + b"\x08abc", kind=1),
    "too many axes": table(HEADER | {b"x": entry(1, (1,) * 255, size=4)}),
    "type is a message": table(HEADER | {b"x": field(1, b"\x01")}),
    "shape is a number": table(HEADER | {b"x": field(1, 1) + field(2, 3)}),
    "slice key": table(HEADER | {b"\0v\0": b""}),
}


@pytest.mark.parametrize("case", INDEXES)
def test_a_malformed_index_names_itself(tmp_path, case):
    index = tmp_path / "m.ckpt.index"
    index.write_bytes(INDEXES[case])
    (tmp_path / "m.ckpt.data-00000-of-00001").write_bytes(bytes(64))
    with pytest.raises(IntegrityError, match=r"m\.ckpt\.(index|data)"):
        read_all(index)


def test_a_missing_shard_is_named_with_those_present(tmp_path):
    prefix = write_bundle(tmp_path, {n: np.ones(3, np.float32) for n in "abc"}, shards=3)
    prefix.with_name("model.ckpt.data-00001-of-00003").unlink()
    with pytest.raises(NotFoundError, match=r"00001-of-00003 is missing.*00000-of-00003"):
        read_all(prefix)


def test_a_truncated_shard_says_how_much_is_missing(tmp_path):
    prefix = write_bundle(tmp_path, {"a": np.ones(300, np.float32)})
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match="100 bytes behind the end"):
        read_all(prefix)


@pytest.mark.parametrize("name", ["m.ckpt.index", "m.weights", "m.h5"])
def test_a_pointer_is_recognised(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(IntegrityError, match="git lfs pull"):
        read_all(tmp_path / name)


def test_what_is_no_checkpoint_says_so(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"PK\3\4 whatever")
    with pytest.raises(IntegrityError, match="neither"):
        read_all(tmp_path / "a.bin")
    (tmp_path / "old.ckpt").write_bytes(good)
    with pytest.raises(IntegrityError, match=r"name it PREFIX\.index"):
        read_all(tmp_path / "old.ckpt")
    with pytest.raises(NotFoundError, match="no checkpoint"):
        read_all(tmp_path / "absent")


META = v1_meta({"x": ((2,), 1)})
WHOLE = [(0, -1)]
FLOATS = np.ones(2, np.float32).tobytes()
V1 = {
    "no records": table({}),
    "first key": table({b"a": META}),
    "meta is a number": table({b"": field(1, 3)}),
    "name": table({b"": field(1, field(1, field(1, b"\xff\xfe")))}),
    "axis below zero": table({b"": v1_meta({"x": ((-2,), 1)})}),
    "astronomic shape": table({b"": v1_meta({"x": ((2**40, 2**40), 1)})}),
    "too many axes": table({b"": v1_meta({"x": ((1,) * 255, 1)})}),
    "unknown rank": table({b"": field(1, field(1, field(2, field(3, 1))))}),
    "key of no slice": table({b"": META, b"x": b""}),
    "key cut off": table({b"": META, slice_key("x", WHOLE)[:-1]: b""}),
    "key escaped wrongly": table({b"": META, b"\0\xff\x01": b""}),
    "group wire type": table({b"": META, slice_key("x", WHOLE): b"\x0b"}),
    "data is a number": table({b"": META, slice_key("x", WHOLE): field(2, 1)}),
    "no slice": table({b"": META}),
    "no values": table({b"": META} | v1_slice("x", WHOLE, b"")),
    "one value for two": table({b"": META} | v1_slice("x", WHOLE, field(5, FLOATS[:4]))),
    "too many values": table({b"": META} | v1_slice("x", WHOLE, field(5, FLOATS * 2))),
    "half a value": table({b"": META} | v1_slice("x", WHOLE, field(5, FLOATS[:7]))),
    "halves of floats": table({b"": META} | v1_slice("x", WHOLE, field(13, b"\1\2\3"))),
    "half a complex value": table(
        {b"": v1_meta({"x": ((2,), 8)})} | v1_slice("x", WHOLE, field(9, FLOATS + FLOATS[:4]))
    ),
    "values past the end": table({b"": META} | v1_slice("x", WHOLE, b"\x2a\x7f" + FLOATS)),
    "endless number": table(
        {b"": v1_meta({"x": ((2,), 9)})} | v1_slice("x", WHOLE, field(10, b"\xff" * 12 + b"\1\1"))
    ),
    "number cut off": table(
        {b"": v1_meta({"x": ((2,), 9)})} | v1_slice("x", WHOLE, field(10, b"\1\xff"))
    ),
    "slice outside": table({b"": META} | v1_slice("x", [(1, 2)], field(5, FLOATS))),
    "slice of other rank": table({b"": META} | v1_slice("x", WHOLE * 2, field(5, FLOATS))),
    "slices overlap": table(
        {b"": v1_meta({"x": ((3,), 1)})}
        | v1_slice("x", [(0, 2)], field(5, FLOATS))
        | v1_slice("x", [(1, 1)], field(5, FLOATS[:4]))
    ),
    "slice missing": table(
        {b"": v1_meta({"x": ((4,), 1)})} | v1_slice("x", [(0, 2)], field(5, FLOATS))
    ),
    "restarts": sealed(b"\xff\xff\xff\x7f"),
    "compression": sealed(block([(b"", META)]), kind=7),
    "keys out of order": sealed(block([(b"", META), (b"\0b", b""), (b"\0a", b"")])),
    "checksum": (lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:])(table({b"": META})),
}


@pytest.mark.parametrize("case", V1)
def test_a_malformed_file_of_the_first_version_names_itself(tmp_path, case):
    (tmp_path / "old.ckpt").write_bytes(V1[case])
    with pytest.raises(IntegrityError, match=r"old\.ckpt: "):
        read_all(tmp_path / "old.ckpt")


def test_a_large_block_of_the_first_version_is_read_in_parts_and_checked(tmp_path):
    array = np.random.default_rng(0).random((700, 600), np.float32)
    path = write_v1(tmp_path / "old.ckpt", {"x": array, "y": array[:3]}, per_block=1)
    with convert.open_checkpoint(path) as found:
        part = found["x"].block((slice(3, 650), slice(599, 600)))
        assert np.array_equal(part, array[3:650, 599:])
        assert np.array_equal(found["x"].numpy(), array)
    content = bytearray(path.read_bytes())
    content[10**6] ^= 1
    path.write_bytes(content)
    with convert.open_checkpoint(path) as found:
        found["y"].numpy()
        with pytest.raises(IntegrityError, match=r"old\.ckpt: the checksum of block"):
            found["x"].numpy()


def texts_of_variable_length(folder, version, before=0):
    """A model whose names are in a collection of texts, which begins with `dense_1`."""
    path = folder / "model.h5"
    with h5py.File(path, "w", libver=version, userblock_size=before) as file:
        file.attrs["layer_names"] = [b"dense_1"]  # of variable length, as a list of bytes becomes
        group = file.create_group("dense_1")
        group.attrs["weight_names"] = [b"dense_1/kernel:0", b"dense_1/bias:0"]
        group.create_dataset("dense_1/kernel:0", data=np.ones((4, 3)))
        group.create_dataset("dense_1/bias:0", data=np.ones(3))
    return path


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_text_of_four_gigabytes_is_not_believed(tmp_path, version):
    path = texts_of_variable_length(tmp_path, version)
    with convert.open_checkpoint(path) as checkpoint:
        assert list(checkpoint) == ["dense_1/dense_1/kernel:0", "dense_1/dense_1/bias:0"]
    content = path.read_bytes()
    with h5py.File(path) as file:
        ((place, count),) = Attributes(path, file).places("weight_names")
    assert count == 2
    assert content[place : place + 4] == (16).to_bytes(4, "little")  # the first name's length
    if version == "latest":
        return  # a checksum keeps it
    path.write_bytes(content[:place] + b"\xf0\xff\xff\xff" + content[place + 4 :])
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(IntegrityError, match=r"model\.h5: .*'weight_names' claims texts of 42949"):
        convert.open_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < held + 100_000


#: What the first text of a collection claims to take, and the collection itself, in bytes.
COLLECTIONS = {
    "another text inside, then nothing on end": (121, 4096),  # the library never comes back
    "no end": (2**64 - 16, 4096),
    "more than its collection": (4096, 4096),
    "more than the file": (7, 2**40),
    "less than its head": (7, 8),
}


@pytest.mark.parametrize("case", COLLECTIONS)
@pytest.mark.parametrize("before", [0, 512])
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_a_damaged_collection_of_texts_is_refused_before_it_is_walked(
    tmp_path, version, before, case
):
    path = texts_of_variable_length(tmp_path, version, before)
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL")
    assert content[at + 16 + 16 :].startswith(b"dense_1")
    text, whole = COLLECTIONS[case]
    content[at + 24 : at + 32] = text.to_bytes(8, "little")
    content[at + 8 : at + 16] = whole.to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"model\.h5: "):
        convert.open_checkpoint(path)


def test_a_list_of_no_known_kind_is_no_text(tmp_path):
    path = texts_of_variable_length(tmp_path, "earliest")
    content = bytearray(path.read_bytes())
    kind = content.index(b"layer_names") + 16  # class 9, and whether a text or a sequence
    assert content[kind : kind + 2] == b"\x19\x01"
    content[kind + 1] = 3  # neither, at which the library crashes
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"model\.h5: .*'layer_names' contains no text"):
        convert.open_checkpoint(path)


@pytest.mark.parametrize("value", [np.zeros(0), np.zeros(0, "S1"), h5py.Empty("S8"), 7, [1.0]])
def test_names_that_are_no_texts_are_none_or_refused(tmp_path, value):
    path = texts_of_variable_length(tmp_path, "earliest")
    with h5py.File(path, "a") as file:
        file["dense_1"].attrs["weight_names"] = value  # an empty list of Keras is of floats
    if not np.size(value) or isinstance(value, h5py.Empty):
        with convert.open_checkpoint(path) as checkpoint:
            assert len(checkpoint) == 2
    else:
        with pytest.raises(IntegrityError, match=r"model\.h5: "):
            convert.open_checkpoint(path)


WRONG = {
    "an error page": b"<!DOCTYPE html><html><title>404 Not Found</title></html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "nothing": b"",
    "zeros": bytes(4096),
    "a pickle": b"\x80\x04}\x94.",
    "text": "一\n".encode("gb18030"),
}


@pytest.mark.parametrize("content", WRONG)
@pytest.mark.parametrize(
    "name", ["m.h5", "m.weights", "m.keras", "m.ckpt.index", "m.ckpt", "m.zip", "m.tar.gz"]
)
def test_what_is_something_else_is_refused_by_name(tmp_path, scratch, name, content):
    (tmp_path / name).write_bytes(WRONG[content])
    hint = "git lfs pull" if content == "a pointer" else ""
    with pytest.raises(IntegrityError, match=rf"{name}.*{hint}"):
        read_all(tmp_path / name)


@pytest.mark.parametrize("kind", ["zip", "keras zip"])
def test_an_archive_of_a_later_version_is_refused(tmp_path, scratch, kind):
    path = MAKERS[kind](tmp_path)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2")  # the directory; its fourth field is the version needed
    content[place + 6] = 255
    path.write_bytes(content)
    with pytest.raises(GenaeError, match=path.name):
        read_all(path)


def test_places_where_no_file_is(tmp_path):
    for name in ("m.h5", "m.keras", "m.index", "m.ckpt", "empty"):
        (tmp_path / name).mkdir()
        with pytest.raises(NotFoundError, match=name):
            read_all(tmp_path / name)
    with pytest.raises(NotFoundError, match="no checkpoint"):
        read_all(tmp_path)  # a folder of folders
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    for place in (tmp_path / "loop.h5", tmp_path):
        with pytest.raises(NotFoundError, match="no checkpoint"):
            read_all(place)
    path = MAKERS["bundle index"](tmp_path)
    data = path.with_name("bert_model.ckpt.data-00000-of-00001")
    data.unlink()
    data.mkdir()
    with pytest.raises(NotFoundError, match="data-00000-of-00001 is missing"):
        read_all(path)


@pytest.mark.parametrize("kind", ["bundle index", "v1", "keras hdf5", "zip"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(PermissionError(13, "denied"), NotAllowedError), (OSError(5, "I/O error"), IntegrityError)],
)
def test_what_the_system_refuses_is_named(tmp_path, monkeypatch, kind, error, raised):
    path = MAKERS[kind](tmp_path)

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(raised, match=path.name):
        read_all(path)


@pytest.mark.parametrize("kind", ["bundle data", "v1", "keras chunked", "keras zip", "tar"])
def test_a_conversion_that_fails_leaves_nothing(tmp_path, scratch, kind):
    (tmp_path / "in").mkdir()
    path = MAKERS[kind](tmp_path / "in")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(GenaeError):
        convert.convert_checkpoint(path, tmp_path / "out", config=CONFIG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "scratch"]


#: A pickle that leaves a file behind when it is loaded.
TRAP = b"cos\nsystem\n(S'touch sprung'\ntR."
WATCHED: list[str] | None = None


def _hook(event: str, _arguments: object) -> None:
    if WATCHED is not None and event in ("pickle.find_class", "marshal.loads", "exec"):
        WATCHED.append(event)


def test_no_pickle_and_no_lambda_is_brought_to_life(tmp_path, monkeypatch):
    global WATCHED
    monkeypatch.chdir(tmp_path)
    code = base64.b64encode(marshal.dumps((lambda: 1).__code__)).decode()
    layer = {"class_name": "Lambda", "config": {"function": [code, None, None]}}
    model = json.dumps({"class_name": "Functional", "config": {"layers": [layer]}})
    shutil.copy(LEGACY / "bert_encoder/full_model.h5", "full.h5")
    with h5py.File("full.h5", "r+") as file:
        file.attrs["model_config"] = model
        file.attrs["training_config"] = np.void(TRAP)
    with zipfile.ZipFile("m.keras", "w") as archive:
        archive.writestr("config.json", model)
        archive.writestr("data.pkl", TRAP)
        archive.write(LEGACY / "bert_full/model_tf2.weights.h5", "model.weights.h5")
    with zipfile.ZipFile("m.zip", "w") as archive:
        archive.writestr("data.pkl", TRAP)
        archive.writestr("vocab.pickle", TRAP)
        archive.write("full.h5")
    for name in ("full.h5", "m.keras", "m.zip"):
        read_all(name)  # modules that are imported on the way are code as well
    sys.addaudithook(_hook)
    WATCHED = []
    try:
        for name in ("full.h5", "m.keras", "m.zip"):
            read_all(name)
        assert WATCHED == []
        with pytest.raises(EOFError):
            marshal.loads(b"")
        assert WATCHED == ["marshal.loads"]  # the trap itself works
    finally:
        WATCHED = None
    assert not Path("sprung").exists()


def broken_configs():
    """A configuration, one value of it something else."""
    values = st.one_of(
        st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=5),
        st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.none()),
    )  # fmt: skip
    return st.dictionaries(st.sampled_from(sorted(CONFIG)), values, max_size=2)


@settings(max_examples=40, deadline=None)
@given(broken_configs())
def test_a_configuration_of_odd_values(changed):
    path = LEGACY / "bert_segment5/bert_model.ckpt.index"
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(GenaeError):
            convert.convert_checkpoint(path, Path(folder) / "out", config=CONFIG | changed)
            return
        assert list(Path(folder).iterdir()) == []
