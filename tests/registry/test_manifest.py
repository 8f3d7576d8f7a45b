import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from zoo.card import Card
from zoo.errors import IntegrityError, NotFoundError, UnsafeError
from zoo.header import MAX_HEADER_BYTES, elements, safetensors_header
from zoo.registry import manifest, upkeep


def _file(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def _tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_header_agrees_with_what_was_saved(tmp_path):
    tensors = {"a": np.zeros((2, 3), np.float32), "b.c": np.ones(5, np.int64)}
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt"})
    header = safetensors_header(tmp_path / "m.safetensors")
    assert {name: tuple(info["shape"]) for name, info in header.items()} == {
        name: array.shape for name, array in tensors.items()
    }
    assert elements(header) == 11


BAD_HEADERS = {
    "not json": (b"{nope", b""),
    "a list": (b"[]      ", b""),
    "constant": (b'{"a": NaN}', b""),
    "deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b""),
    "twice": (
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        b"",
    ),
    "outside": ({"a": _tensor(offsets=(0, 800))}, b"12345678"),
    "backwards": ({"a": _tensor(offsets=(8, 0))}, b"12345678"),
    "negative": ({"a": _tensor(offsets=(-8, 0))}, b"12345678"),
    "true is no number": ({"a": _tensor("U8", (True,), (0, 1))}, b"1"),
    "wrong size": ({"a": _tensor(shape=(3,))}, b"12345678"),
    "overflowing shape": ({"a": _tensor(shape=(2**62, 4))}, b"12345678"),
    "unknown dtype": ({"a": _tensor("X99")}, b"12345678"),
    "dtype no text": ({"a": _tensor([])}, b"12345678"),
    "overlap": ({"a": _tensor(), "b": _tensor()}, b"12345678"),
    "gap": ({"a": _tensor("U8", (1,), (0, 1)), "b": _tensor("U8", (1,), (2, 3))}, b"123"),
    "trailing": ({"a": _tensor()}, b"12345678 and more"),
    "escape in name": ({"a\x1b[2J": _tensor()}, b"12345678"),
    "empty name": ({"": _tensor()}, b"12345678"),
    "extra key": ({"a": _tensor() | {"code": "x"}}, b"12345678"),
    "metadata": ({"__metadata__": {"a": 1}}, b""),
}


@pytest.mark.parametrize(("header", "data"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_bad_headers_are_an_integrity_error(tmp_path, header, data):
    with pytest.raises(IntegrityError, match="not a sound safetensors file") as caught:
        safetensors_header(_file(tmp_path / "m.safetensors", header, data))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"1234567", b"\xff" * 64, struct.pack("<Q", 9) + b"{}"])
def test_truncated_files_are_an_integrity_error(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(IntegrityError):
        safetensors_header(path)


def test_a_header_over_the_limit_is_not_read(tmp_path):
    path = _file(tmp_path / "m.safetensors", b" " * (MAX_HEADER_BYTES + 1))
    with pytest.raises(IntegrityError, match="over the limit"):
        safetensors_header(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"{}"),
        ("model.PT", b"{}"),
        ("model.safetensors", b"\x80\x04\x95" + b"." * 50),
        ("model.safetensors", b"PK\x03\x04" + b"." * 50),
    ],
)
def test_pickles_are_refused_by_name_and_by_content(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnsafeError, match="pickle"):
        safetensors_header(tmp_path / name)


def test_a_written_manifest_describes_every_file(registry_root):
    folder = registry_root / "eae-toy"
    listed = manifest.read(folder)
    assert [e["path"] for e in listed["files"]] == [
        "README.md",
        "card.toml",
        "config.json",
        "model.safetensors",
    ]
    assert (listed["id"], listed["version"]) == ("genae/eae-toy", "1.2.0")
    count = sum(values.size for values in load_file(folder / "model.safetensors").values())
    assert listed["parameters"] == count
    assert manifest.check_sizes(folder) == manifest.check_hashes(folder) == []
    assert f"{count:,} parameters" in (folder / "README.md").read_text()


def test_hidden_files_and_caches_do_not_belong_to_a_model(registry_root):
    folder = registry_root / "eae-toy"
    before = manifest.list_files(folder)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x.bin").touch()
    (folder / ".DS_Store").touch()
    assert manifest.list_files(folder) == before


def test_sizes_see_a_longer_file_and_hashes_a_changed_one(registry_root):
    folder = registry_root / "eae-toy"
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert manifest.check_sizes(folder) == []
    assert manifest.check_hashes(folder) == [
        "model.safetensors: its SHA-256 differs from the manifest's"
    ]
    weights.write_bytes(content + b"x")
    assert len(manifest.check_sizes(folder)) == 1
    weights.unlink()
    assert manifest.check_sizes(folder) == ["model.safetensors: missing"]


def test_refresh_follows_an_edited_card_but_not_changed_weights(registry_root):
    folder = registry_root / "eae-toy"
    card = folder / "card.toml"
    card.write_text(card.read_text().replace("A toy |", "A better toy |"))
    assert manifest.check_hashes(folder)
    upkeep.renew(folder)
    assert manifest.check_hashes(folder) == []
    assert "A better toy" in (folder / "README.md").read_text()
    with (folder / "config.json").open("a") as file:
        file.write(" ")
    with pytest.raises(IntegrityError, match=r"config\.json"):
        upkeep.renew(folder)


GOOD = {"path": "a.json", "size": 1, "sha256": "0" * 64}


def _write(folder, files, **values):
    table = {"schema": 1, "id": "a/b", "version": "1.0.0", "files": files, "parameters": 0}
    (folder / "manifest.json").write_text(json.dumps(table | values))


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "C:x", "", ".", "./a", "a//b", "a/", ".ssh/x",
     "a\x00b", "a\x1b[2J", "manifest.json", "weights.bin", "a/b.pkl"],
)  # fmt: skip
def test_paths_that_leave_the_folder_and_pickles_are_unsafe(tmp_path, path):
    _write(tmp_path, [GOOD | {"path": path}])
    with pytest.raises(UnsafeError):
        manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("files", "values"),
    [
        ([GOOD, GOOD], {}),
        ([GOOD, GOOD | {"path": "A.json"}], {}),
        ([GOOD | {"size": -1}], {}),
        ([GOOD | {"size": True}], {}),
        ([GOOD | {"sha256": "0" * 63}], {}),
        ([GOOD | {"sha256": None}], {}),
        ([{"path": 3}], {}),
        (["a.json"], {}),
        ({}, {}),
        ([GOOD], {"schema": 2}),
        ([GOOD], {"parameters": "many"}),
        ([GOOD] * 10_001, {}),
    ],
)
def test_malformed_manifests_are_an_integrity_error(tmp_path, files, values):
    _write(tmp_path, files, **values)
    with pytest.raises(IntegrityError):
        manifest.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_table_is_an_integrity_error(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(IntegrityError):
        manifest.read(tmp_path)


def test_no_manifest_is_not_found(tmp_path):
    with pytest.raises(NotFoundError):
        manifest.read(tmp_path)


def test_a_pickle_keeps_a_manifest_from_being_made(registry_root):
    folder = registry_root / "eae-toy"
    (folder / "optimizer.pt").touch()
    with pytest.raises(UnsafeError, match=r"optimizer\.pt"):
        manifest.build(folder, Card.load(folder), {})
