"""Damaged files end in an error of ours that names the file, whatever is in them."""

import random
import resource
import shutil
import time

import numpy as np
import pytest

import convert
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
from tests.conversion.records import LEGACY
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError

HEADER = {b"": field(1, 1)}


def read_all(path):
    with convert.open_checkpoint(path) as checkpoint:
        for tensor in checkpoint.values():
            tensor.numpy()


def sealed(content: bytes, kind: int = 0) -> bytes:
    """A table whose only data block is `content`, checksums right."""
    from convert.readers.crc32c import crc32c, mask

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
    with pytest.raises(UsageError, match="V1"):
        read_all(tmp_path / "old.ckpt")
    with pytest.raises(NotFoundError, match="no checkpoint"):
        read_all(tmp_path / "absent")


def mutations(content: bytes, chance: random.Random) -> bytes:
    """A damaged copy: bits, bytes, cuts, repeats."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        kind, place = chance.randrange(5), chance.randrange(max(1, len(data)))
        if kind == 0 and data:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[place : place + 4] = chance.randbytes(4)
        elif kind == 2:
            del data[place : place + chance.choice((1, 8, 4096))]
        elif kind == 3:
            data[place:place] = data[place : place + 16]
        else:
            data[place : place + 8] = b"\xff" * 8
    return bytes(data)


def fuzz(folder, count, seed):
    """Mutated bundles and HDF5 files: only our errors, none slow."""
    chance = random.Random(seed)
    source = LEGACY / "bert_segment5"
    index = (source / "bert_model.ckpt.index").read_bytes()
    shutil.copy(source / "bert_model.ckpt.data-00000-of-00001", folder)
    keras = (LEGACY / "bert_cln/model.weights").read_bytes()
    opened = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(count):
        hdf5 = turn % 2
        path = folder / ("model.weights" if hdf5 else "bert_model.ckpt.index")
        path.write_bytes(mutations(keras if hdf5 else index, chance))
        start = time.monotonic()
        try:
            read_all(path)
            opened += 1
        except GenaeError as error:
            assert path.parent.name in str(error)  # noqa: PT017
        assert time.monotonic() - start < 1
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < 2 * len(keras) + 200e6
    return opened


def test_mutated_files_end_in_our_errors(tmp_path):
    assert fuzz(tmp_path, 300, 0) < 300


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_mutated_files(tmp_path):
    assert fuzz(tmp_path, 100_000, 1) < 100_000
