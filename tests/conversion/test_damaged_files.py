"""Damaged files of every form end in an error of ours: bits, bytes, cuts and repeats by chance."""

import os
import random
import resource
import shutil
import time

import pytest

import convert
from convert.readers.tensorflow.table import _block
from convert.tokenizers import read_vocab
from convert.wire.crc32c import crc32c, mask
from convert.wire.protobuf import WireError
from convert.wire.protobuf import varint as varint_of
from tests.conversion.bundles import (
    MAGIC,
)
from tests.conversion.makers import MAKERS, read_all
from tests.conversion.records import LEGACY
from zoo.errors import GenaeError


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A damaged copy: bits, bytes, cuts, repeats."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        kind, place = chance.randrange(6), chance.randrange(max(1, len(data)))
        if kind == 0 and data:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[place : place + 4] = chance.randbytes(4)
        elif kind == 2:
            del data[place : place + chance.choice((1, 8, 4096))]
        elif kind == 3:
            data[place:place] = data[place : place + 16]
        elif kind == 4:
            data[place : place + 8] = b"\xff" * 8
        elif chance.random() < 0.3:
            del data[place:]
    return bytes(data)


def resealed(content: bytes) -> bytes:
    """A table with its checksums made right again, where its handles still lead to blocks."""
    try:
        position, handles = 0, []
        for _ in range(2):
            start, position = varint_of(content[-48:], position)
            size, position = varint_of(content[-48:], position)
            handles.append((start, size))
        handles += [
            (start, varint_of(value, after)[0])
            for _, value in _block(content, *handles[1], "index")
            for start, after in [varint_of(value, 0)]
        ]
    except WireError:
        return content
    data = bytearray(content)
    for start, size in handles:
        if start + size + 5 <= len(data) - 48:
            crc = mask(crc32c(bytes(data[start : start + size + 1])))
            data[start + size + 1 : start + size + 5] = crc.to_bytes(4, "little")
    return bytes(data)


def fuzz(kind: str, folder, count: int, seed: int) -> int:
    """Read damaged files of a form; returns how many were read to the end.

    Only errors of ours, which name a file; none takes a second of the processor's time; memory
    stays below twice the file and 200 MB; nothing is left in the folder for temporary files.
    """
    chance = random.Random(seed)
    path = MAKERS[kind](folder)
    content, before = path.read_bytes(), set(folder.rglob("*"))
    read_all(path)
    opened = 0
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(count):
        bad = damaged(content, chance)
        if content.endswith(MAGIC) and turn % 2:
            bad = resealed(bad)
        path.write_bytes(bad)
        start = time.process_time()
        try:
            read_all(path)
            opened += 1
        except GenaeError as error:
            assert path.name.partition(".")[0] in str(error), (turn, error)  # noqa: PT017
        took = time.process_time() - start
        assert took < 1, (turn, took)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
    assert grown < 2 * len(content) + 200e6
    assert set(folder.rglob("*")) == before
    return opened


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "count",
    [
        30,
        pytest.param(
            int(os.environ.get("GENAE_FUZZ", 100_000)),
            marks=[pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(6 * 3600)],
        ),
    ],
)
def test_damaged_files_end_in_our_errors(tmp_path, scratch, kind, count):
    (tmp_path / "in").mkdir()
    assert fuzz(kind, tmp_path / "in", count, count) < count


@pytest.mark.parametrize("kind", MAKERS)
def test_files_cut_anywhere_end_in_our_errors(tmp_path, scratch, kind):
    path = MAKERS[kind](tmp_path)
    content = path.read_bytes()
    tail = [] if "tar" in kind else [len(content) - 9]  # a tar ends in padding
    for size in (0, 1, 7, 47, len(content) // 3, len(content) // 2, *tail):
        path.write_bytes(content[:size])
        with pytest.raises(GenaeError, match=path.name.partition(".")[0]):
            read_all(path)


@pytest.mark.parametrize(
    "count",
    [
        150,
        pytest.param(
            100_000, marks=[pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(6 * 3600)]
        ),
    ],
)
def test_damaged_texts_end_in_our_errors(tmp_path, count):
    chance = random.Random(count)
    path = MAKERS["bundle index"](tmp_path)
    for name in ("vocab.txt", "checkpoint"):
        shutil.copy(LEGACY / "bert_segment5" / name, tmp_path)
    files = {
        tmp_path / "bert_config.json": lambda: convert.inspect(path),
        tmp_path / "vocab.txt": lambda: read_vocab(tmp_path / "vocab.txt"),
        tmp_path / "checkpoint": lambda: read_all(tmp_path / "checkpoint"),
    }
    contents = {file: file.read_bytes() for file in files}
    for turn in range(count):
        file = list(files)[turn % 3]
        file.write_bytes(damaged(contents[file], chance))
        start = time.process_time()
        try:
            files[file]()
        except GenaeError as error:
            assert tmp_path.name in str(error)  # noqa: PT017
        assert time.process_time() - start < 1
        file.write_bytes(contents[file])
