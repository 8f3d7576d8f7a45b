"""`zoo.encode`: vectors are those of the model, rows those of the data, bad ones are listed."""

import errno
import json
import os
import shutil

import datasets
import fsspec
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

import zoo
from tests.conftest import ROOT
from tests.encoding.conftest import TEXTS, skipped_in, table_of
from zoo import places
from zoo.data.reading import read_images
from zoo.encoding import lines
from zoo.encoding.encoders import open_encoder
from zoo.encoding.rows import Wanted
from zoo.encoding.shards import matrix
from zoo.encoding.sources import open_source
from zoo.errors import (
    ConflictError,
    GenaeError,
    IntegrityError,
    InterruptedRunError,
    MissingDependencyError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from zoo.loading import locate
from zoo.places import Place


class BlockFile(AbstractBufferedFile):
    """A file as those of object stores are, read by ranges of bytes."""

    def _fetch_range(self, start, end):
        return self.fs.cat_file(self.path, start, end)


class BlockFiles(MemoryFileSystem):
    """Files in memory that are opened as those of an object store."""

    protocol = "blocks"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("blocks://", "memory://"))

    def _open(self, path, mode="rb", **kwargs):
        return BlockFile(self, path, mode, block_size=64, cache_type="readahead")


BERT, EAE = "genae/tiny-bert", "genae/eae-mnist"


def near(found, wanted):
    found, wanted = torch.tensor(found), torch.as_tensor(wanted)
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


def test_lines_of_an_object_store_are_those_of_a_file(written):
    """Its files know no longest line."""
    fsspec.register_implementation("blocks", BlockFiles, clobber=True)
    file = written("t.jsonl", [{"text": text} for text in TEXTS])
    fsspec.filesystem("memory").put(str(file), "/blocks/t.jsonl")
    found, wanted = (
        open_source(name, "texts").read(Wanted([range(99)]))
        for name in ("blocks://blocks/t.jsonl", str(file))
    )
    assert [row.content for row in found] == [row.content for row in wanted] == TEXTS


def test_texts_have_the_vectors_of_embed_and_bad_ones_are_listed(written, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 200)
    data = written(
        "t.jsonl",
        [
            {"text": TEXTS[0], "id": "x"},
            b'{"text": "\xff"}',
            "{no json",
            {"text": TEXTS[1], "id": 7},
            "",
            "[1]",
            {"text": None, "id": "y"},
            {"text": 3, "id": "z"},
            {"text": "a" * 300, "id": "w"},
            {"text": "\ud800", "id": "half"},
            {"text": TEXTS[2], "id": "empty"},
            {"text": "a"},
            "[" * 150,
            {"text": TEXTS[3], "id": "last"},
        ],
    )
    out = tmp_path / "out"
    found = zoo.encode(BERT, data, out, key="id", rows_per_shard=4, pooling="max")
    table = table_of(out)
    assert table["key"].to_pylist() == ["x", "7", "empty", "last"]
    assert table["row"].to_pylist() == [0, 3, 9, 12]
    near(matrix(table), zoo.embed(BERT, [TEXTS[i] for i in (0, 1, 2, 3)], pooling="max"))
    skipped = skipped_in(out)
    assert [one["row"] for one in skipped] == [1, 2, 4, 5, 6, 7, 8, 10, 11]
    reasons = [
        "not UTF-8 (byte 0xff)", "not JSON (Expecting property", "no JSON object",
        "nothing (null)", "has 3 in the column text, which is no text", "longer than 200 bytes",
        "half a character", "has no key in the column id", "not JSON",
    ]  # fmt: skip
    for one, reason in zip(skipped, reasons, strict=True):
        assert reason in one["reason"], one
    assert (found.complete, found.rows, found.vectors, found.skipped) == (True, 13, 4, 9)
    assert [one.row for one in found.first_skipped] == [1, 2, 4]
    again = zoo.encode(BERT, data, out, key="id", rows_per_shard=4, pooling="max")
    assert again.made == 0
    assert (again.rows, again.vectors, again.skipped) == (13, 4, 9)


def test_lines_of_text_are_rows_with_their_numbers_as_keys(written, tmp_path):
    data = written("t.txt", [b"\xef\xbb\xbf" + TEXTS[0].encode(), "好\r", *TEXTS[2:]])
    zoo.encode(BERT, data, tmp_path / "out", rows_per_shard=3)
    table = table_of(tmp_path / "out")
    assert table["key"].to_pylist() == [str(row) for row in range(len(TEXTS))]
    near(matrix(table), zoo.embed(BERT, TEXTS))


def test_parquet_keeps_rows_over_files_groups_and_nulls(written, tmp_path):
    rows = [{"text": text, "name": f"n{n}"} for n, text in enumerate(TEXTS)]
    rows[4]["text"] = None
    written("data/1.parquet", rows[:4])
    written("data/2.parquet", rows[4:])
    zoo.encode(BERT, tmp_path / "data", tmp_path / "out", key="name", rows_per_shard=2)
    table = table_of(tmp_path / "out")
    assert table["key"].to_pylist() == [f"n{n}" for n in range(len(TEXTS)) if n != 4]
    near(matrix(table), zoo.embed(BERT, TEXTS[:4] + TEXTS[5:]))
    assert [(one["row"], one["key"]) for one in skipped_in(tmp_path / "out")] == [(4, "n4")]


def test_images_have_their_codes_and_bad_files_are_listed(images, tmp_path):
    (images / "a/0-empty.png").touch()
    (images / "b/zz.png").write_bytes(b"no image")
    (images / "a/cut.png").write_bytes(next(images.glob("b/0*.png")).read_bytes()[:100])
    (images / ".hidden.png").write_bytes(b"")
    out = tmp_path / "out"
    found = zoo.encode(EAE, images, out, rows_per_shard=4, batch_size=3)
    model, processor = zoo.from_pretrained(EAE), zoo.load_image_processor(EAE)
    read = read_images([str(images)], processor)
    table = table_of(out)
    assert table["key"].to_pylist() == [file.relative_to(images).as_posix() for file in read.files]
    with torch.no_grad():
        near(matrix(table), model.encode(read.pixels.float() / 255))
    assert found.skipped == 3
    skipped = skipped_in(out)
    assert [one["key"] for one in skipped] == ["a/0-empty.png", "a/cut.png", "b/zz.png"]
    assert skipped[0]["reason"] == "is empty (0 bytes); get it again"
    assert table["row"].to_pylist() == [
        row for row in range(13) if row not in [one["row"] for one in skipped]
    ]


@pytest.mark.parametrize("streaming", [False, True], ids=["table", "stream"])
def test_folders_that_say_what_is_in_them_are_read_by_datasets(images, tmp_path, streaming):
    content = [file.read_bytes() for file in sorted(images.rglob("*.png"))]
    rows = [{"img": {"bytes": one, "path": None}, "id": n} for n, one in enumerate(content)]
    rows[2]["img"] = None
    folder = tmp_path / "set"
    folder.mkdir()
    features = datasets.Features({"img": datasets.Image(), "id": datasets.Value("int64")})
    datasets.Dataset.from_list(rows, features=features).to_parquet(folder / "x.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: x.parquet\n---\n"
    )
    zoo.encode(EAE, folder, tmp_path / "out", key="id", rows_per_shard=4, streaming=streaming)
    zoo.encode(EAE, folder / "x.parquet", tmp_path / "file", key="id", rows_per_shard=4)
    assert table_of(tmp_path / "out").equals(table_of(tmp_path / "file"))
    assert table_of(tmp_path / "out")["key"].to_pylist() == list("013456789")
    assert skipped_in(tmp_path / "out")[0]["reason"].endswith("holds no image")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_files_are_read_as_their_users_expect(written, tmp_path, dtype):
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    size = zoo.encode(BERT, data, out, dtype=dtype, rows_per_shard=4).size
    kind = pa.float32() if dtype == "float32" else pa.float16()
    assert table_of(out).schema.remove_metadata() == pa.schema(
        {"key": pa.string(), "row": pa.int64(), "vector": pa.list_(kind, size)}
    )
    files = [str(file) for file in sorted(out.glob("vectors/*.parquet"))]
    assert len(files) == 2
    loaded = datasets.load_dataset("parquet", data_files=files, split="train")
    assert loaded["row"][:] == list(range(len(TEXTS)))
    assert loaded.features["vector"].length == size
    frame = pandas.read_parquet(out / "vectors")
    assert np.stack(frame["vector"]).shape == (len(TEXTS), size)
    assert np.stack(frame["vector"]).dtype == dtype
    assert np.array_equal(np.stack(frame["vector"]), matrix(table_of(out)))


def test_numbers_that_do_not_fit_are_rows_without_a_vector(written, tmp_path, monkeypatch):
    from zoo.encoding.encoders import TextEncoder

    whole = TextEncoder.vectors
    monkeypatch.setattr(TextEncoder, "vectors", lambda self, inputs: whole(self, inputs) * 1e6)
    data = written("t.txt", TEXTS[:2])
    with pytest.raises(UsageError, match=r"none of 2 rows .* not finite in float16"):
        zoo.encode(BERT, data, tmp_path / "out", dtype="float16")
    assert len(skipped_in(tmp_path / "out")) == 2
    assert zoo.encode(BERT, data, tmp_path / "wide").vectors == 2


def test_strict_stops_at_the_first_bad_row_and_keeps_files_before_it(written, tmp_path):
    data, out = written("t.jsonl", [*({"text": text} for text in TEXTS), "{"]), tmp_path / "out"
    with pytest.raises(UsageError, match=r"row 7: is not JSON .*; mend it, or leave --strict"):
        zoo.encode(BERT, data, out, rows_per_shard=3, strict=True)
    assert len(table_of(out)) == 6
    assert zoo.encode(BERT, data, out, rows_per_shard=3).made == 2
    assert len(table_of(out)) == 7


def test_any_address_of_fsspec_goes_in_and_out(written, images, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(images), "/in/images", recursive=True)
    memory.put(str(written("t.jsonl", [{"text": text} for text in TEXTS])), "/in/t.jsonl")
    memory.put(str(written("t.parquet", [{"text": text} for text in TEXTS])), "/in/t.parquet")
    for name, model, data in (
        ("images", EAE, images),
        ("t.jsonl", BERT, tmp_path / "t.jsonl"),
        ("t.parquet", BERT, f"file://{tmp_path}/t.parquet"),
    ):
        here, there = tmp_path / f"out-{name}", f"memory://out/{name}"
        zoo.encode(model, data, here, rows_per_shard=4)
        found = zoo.encode(model, f"memory://in/{name}", there, rows_per_shard=4)
        assert found.complete
        assert zoo.encode(model, f"memory://in/{name}", there, rows_per_shard=4).made == 0
        memory.get(f"/out/{name}/vectors", str(tmp_path / f"got-{name}/vectors"), recursive=True)
        assert table_of(tmp_path / f"got-{name}").equals(table_of(here))
    with pytest.raises(UsageError, match="knows"):
        zoo.encode(BERT, tmp_path / "t.jsonl", "nonsense://place")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pooling": "cls"}, r"--pooling was last-avg, now it is cls"),
        ({"max_length": 5}, r"--max-length was \d+, now it is 5"),
        ({"dtype": "float16"}, r"--dtype was float32, now it is float16"),
        ({"rows_per_shard": 5}, r"--shard-size was 4, now it is 5"),
        ({"model": "genae/tiny-albert"}, r"the model was genae/tiny-bert \(\w{12}\), now it is"),
        ({"data": "other.txt"}, r"the data was t.txt, now it is other.txt, whose files"),
    ],
    ids=str,
)
def test_vectors_of_something_else_are_not_added(written, tmp_path, monkeypatch, change, said):
    monkeypatch.chdir(tmp_path)
    written("t.txt", TEXTS)
    written("other.txt", TEXTS[1:])
    asked = {"model": BERT, "data": "t.txt", "output": "out", "rows_per_shard": 4}
    zoo.encode(**asked)
    before = table_of("out")
    with pytest.raises(ConflictError, match=said):
        zoo.encode(**asked | change)
    assert table_of("out").equals(before)


def test_a_file_that_changed_is_other_data(written, tmp_path):
    data = written("t.txt", TEXTS)
    zoo.encode(BERT, data, tmp_path / "out")
    written("t.txt", [*TEXTS, "我"])
    with pytest.raises(ConflictError, match="whose files or rows differ"):
        zoo.encode(BERT, data, tmp_path / "out")


def test_data_is_told_by_content_where_it_is_little_and_by_size_and_time_else(
    images, tmp_path, monkeypatch
):
    def told(folder):
        place = Place(str(folder))
        return place.fingerprint(place.listed())

    first = told(images)
    shutil.copytree(images, tmp_path / "copy")
    one = next((tmp_path / "copy").rglob("*.png"))
    os.utime(one, ns=(1, 1))
    assert told(tmp_path / "copy") == first
    one.write_bytes(one.read_bytes()[:-1] + b"!")
    os.utime(one, ns=(1, 1))
    assert told(tmp_path / "copy") != first
    monkeypatch.setattr(places, "MAX_FILES", 9)
    shutil.copytree(images, tmp_path / "many")  # with its times
    many = told(images)
    assert many == told(tmp_path / "many") != first
    os.utime(next((tmp_path / "many").rglob("*.png")), ns=(1, 1))
    assert told(tmp_path / "many") != many


def test_data_elsewhere_is_told_by_the_sums_of_its_store(monkeypatch):
    place = Place("memory://sums")
    place.write("a", b"one")
    infos = {"/sums/a": {"size": 3, "ETag": "x", "LastModified": 1}}
    monkeypatch.setattr(place, "_infos", lambda: infos)
    first = place.fingerprint(["a"])
    infos["/sums/a"]["LastModified"] = 2  # a copy
    assert place.fingerprint(["a"]) == first
    infos["/sums/a"]["ETag"] = "y"
    assert place.fingerprint(["a"]) != first
    infos["/sums/a"] = {"size": 3, "mtime": 1}
    old = place.fingerprint(["a"])
    infos["/sums/a"]["mtime"] = 2
    assert place.fingerprint(["a"]) != old


def test_a_file_that_was_removed_from_a_whole_folder_is_made_again(written, tmp_path):
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    zoo.encode(BERT, data, out, rows_per_shard=2)
    whole = table_of(out)
    (out / "vectors/part-000001.parquet").unlink()
    (out / "vectors/.notes").write_text("of somebody else")
    (out / "vectors/.part-000001.parquet.3").write_text("half")
    assert zoo.encode(BERT, data, out, rows_per_shard=2).made == 2
    assert table_of(out).equals(whole)
    assert (out / "vectors/.notes").exists()
    assert not (out / "vectors/.part-000001.parquet.3").exists()
    assert zoo.encode(BERT, data, out, rows_per_shard=2).made == 0


def test_a_folder_of_something_else_stays_as_it_is(written, tmp_path):
    data = written("t.txt", TEXTS)
    with pytest.raises(ConflictError, match=r"not empty and has no encoding\.json"):
        zoo.encode(BERT, data, tmp_path)
    with pytest.raises(ConflictError, match="is a file"):
        zoo.encode(BERT, data, data)
    out = tmp_path / "out"
    out.mkdir()
    (out / "encoding.json").write_text("[]")
    with pytest.raises(IntegrityError, match="malformed"):
        zoo.encode(BERT, data, out)
    assert os.listdir(out) == ["encoding.json"]


def test_a_full_disk_is_told_and_the_same_call_goes_on(written, tmp_path, monkeypatch):
    data, out, write = written("t.txt", TEXTS), tmp_path / "out", places.write_through

    def full(path, content):
        if "part-000001" in path:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(places, "write_through", full)
    with pytest.raises(MissingDependencyError, match="no space left"):
        zoo.encode(BERT, data, out, rows_per_shard=3)
    assert sorted(os.listdir(out)) == ["encoding.json", "vectors"]
    assert os.listdir(out / "vectors") == ["part-000000.parquet"]
    monkeypatch.undo()
    assert zoo.encode(BERT, data, out, rows_per_shard=3).made == len(TEXTS) - 3
    near(matrix(table_of(out)), zoo.embed(BERT, TEXTS))


def test_of_two_runs_to_one_folder_one_is_refused(written, tmp_path):
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    with places.Place(str(out)).held(), pytest.raises(ConflictError, match="another run"):
        zoo.encode(BERT, data, out)
    assert not out.exists()
    assert zoo.encode(BERT, data, out).complete


def test_an_interrupt_is_told_and_the_same_call_goes_on(written, tmp_path, monkeypatch):
    from zoo.encoding.encoders import TextEncoder

    whole, calls = TextEncoder.vectors, []

    def vectors(self, inputs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, inputs)

    monkeypatch.setattr(TextEncoder, "vectors", vectors)
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    with pytest.raises(InterruptedRunError, match="run the same command again"):
        zoo.encode(BERT, data, out, rows_per_shard=2)
    assert zoo.encode(BERT, data, out, rows_per_shard=2).rows == len(TEXTS)
    near(matrix(table_of(out)), zoo.embed(BERT, TEXTS))


def test_data_without_rows_or_of_another_kind_is_refused(written, images, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.touch()
    blank = written("blank.jsonl", ["", ""])
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "none.parquet")
    written("mixed/a.txt", ["a"])
    written("mixed/a.jsonl", [{"text": "a"}])
    (tmp_path / "cut.parquet").write_bytes(b"PAR1" + b"x" * 20)
    binary = written("utf16.txt", [])
    binary.write_bytes("hello".encode("utf-16"))
    (tmp_path / "nothing").mkdir()
    for model, data, kind, said in (
        (BERT, empty, UsageError, "is empty (0 bytes)"),
        (BERT, blank, UsageError, "has no rows"),
        (BERT, tmp_path / "none.parquet", UsageError, "has no rows"),
        (BERT, tmp_path / "mixed", UsageError, "several formats (.jsonl, .txt)"),
        (BERT, tmp_path / "cut.parquet", IntegrityError, "cannot be read as Parquet"),
        (BERT, binary, UsageError, "is UTF-16"),
        (BERT, tmp_path / "absent.txt", NotFoundError, "no such folder or file"),
        (BERT, "memory://absent/t.txt", NotFoundError, "no such file or folder"),
        (BERT, images, NotFoundError, "has no files of texts"),
        (EAE, tmp_path / "nothing", NotFoundError, "holds no images"),
        (EAE, blank, UsageError, "none of a folder of images, or Parquet"),
        (BERT, "mnist", UsageError, "holds images, and the model reads texts"),
        (EAE, "stacked-mnist", UsageError, "is drawn from mnist"),
        (EAE, "gaussians-2d", UsageError, "points of the plane"),
    ):
        with pytest.raises(kind) as refusal:
            zoo.encode(model, data, tmp_path / "out")
        assert said in str(refusal.value)
        assert not (tmp_path / "out").exists(), said


def test_requests_that_mean_nothing_are_refused(written, images, tmp_path):
    data, rows = written("t.txt", TEXTS), written("t.jsonl", [{"text": "a"}])
    table = written("t.parquet", [{"text": "a", "n": 1}])
    for model, source, options, said in (
        (BERT, data, {"tap": "code"}, "give --pooling, not --tap"),
        (BERT, data, {"pooling": "best"}, "no pooling named 'best'"),
        (EAE, images, {"pooling": "cls"}, "--pooling and --max-length are of those"),
        (EAE, images, {"tap": "conv"}, "no tap 'conv'"),
        (EAE, images, {"key": "id"}, "has no columns, keys are the paths"),
        (BERT, data, {"dtype": "float64"}, "no dtype 'float64'"),
        (BERT, data, {"precision": "float16"}, "no precision 'float16'"),
        (BERT, data, {"batch_size": 0}, "batch_size must be at least 1"),
        (BERT, data, {"rows_per_shard": 0}, "rows_per_shard must be at least 1"),
        (BERT, data, {"key": "id"}, "no column 'id'; leave --key"),
        (BERT, data, {"column": "id"}, "have no columns; leave --column"),
        (BERT, data, {"split": "test"}, "no split 'test', only train"),
        (BERT, rows, {"split": "train[:5]"}, "is cut, and lines have whole ones alone"),
        (BERT, table, {"column": "txt"}, "no column 'txt' among text, n"),
        (BERT, table, {"column": "n"}, "has 1 in the column n, which is no text"),
        ("genae/vq-vae-fashion-mnist", images, {}, "needs a model that turns images into vectors"),
        (BERT, data, {"device": "gpu7"}, "no device 'gpu7'"),
    ):
        with pytest.raises(GenaeError) as refusal:
            zoo.encode(model, source, tmp_path / "out", **options)
        assert said in str(refusal.value)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_splits_and_cuts_mean_what_they_mean_elsewhere(images, written, tmp_path):
    paths = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    zoo.encode(EAE, images, tmp_path / "cut", split="train[2:5]")
    assert table_of(tmp_path / "cut")["key"].to_pylist() == paths[2:5]
    rows = [{"text": text} for text in TEXTS]
    data = written("t.parquet", rows)
    zoo.encode(BERT, data, tmp_path / "rows", split="train[2:4]")
    near(matrix(table_of(tmp_path / "rows")), zoo.embed(BERT, TEXTS[2:4]))
    written("split/test/a.jsonl", rows[:2])
    written("split/train/a.jsonl", rows)
    zoo.encode(BERT, tmp_path / "split", tmp_path / "test", split="test")
    assert len(table_of(tmp_path / "test")) == 2


def test_what_is_read_by_others_has_rows_too(written, tmp_path):
    table = written("t.csv", ["id,text", *(f'{n},"{text}"' for n, text in enumerate(TEXTS))])
    zoo.encode(BERT, table, tmp_path / "out", key="id", rows_per_shard=3)
    assert table_of(tmp_path / "out")["key"].to_pylist() == [str(n) for n in range(len(TEXTS))]
    near(matrix(table_of(tmp_path / "out")), zoo.embed(BERT, TEXTS))
    zoo.encode(BERT, "listops", tmp_path / "made", split="test[:5]")
    assert len(table_of(tmp_path / "made")) == 5


def test_a_file_system_that_fails_ends_the_run_in_words(images, tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.put(str(images), "/failing", recursive=True)
    kind, whole = type(memory), type(memory).cat_file

    def cut_off(self, path, **more):
        if "failing/b/" in path:
            raise TimeoutError("the server is gone")
        return whole(self, path, **more)

    monkeypatch.setattr(kind, "cat_file", cut_off)
    out = tmp_path / "out"
    with pytest.raises(UnreachableError, match=r"the server is gone; run the same command again"):
        zoo.encode(EAE, "memory://failing", out, rows_per_shard=5)
    assert len(table_of(out)) == 5
    monkeypatch.undo()
    assert zoo.encode(EAE, "memory://failing", out, rows_per_shard=5).made == 5


def test_the_command_says_how_many_and_what_was_skipped(run, written, tmp_path):
    data = written("t.jsonl", [*({"text": text} for text in TEXTS), "{", "{", "{", "{"])
    words = ("encode", BERT, data, "-o", tmp_path / "out")
    done = run(*words)
    assert done.code == 0, done.err
    assert f"{len(TEXTS)} vectors of" in done.out
    assert "4 rows skipped" in done.out
    assert "row 7: is not JSON" in done.err
    assert "skipped.jsonl" in done.err
    answer = json.loads(run(*words, "--json").out)
    assert (answer["rows"], answer["made"], answer["skipped"]) == (len(TEXTS) + 4, 0, 4)
    assert run(*words, "--strict", "-o", tmp_path / "strict").code == 2
    assert not (tmp_path / "strict").exists()


def test_examples_that_ship_are_data(tmp_path):
    found = zoo.encode(EAE, "examples-mnist", tmp_path / "out")
    assert found.rows == len(list((ROOT / "cards/examples/mnist").glob("*.png")))


@pytest.mark.slow
def test_processes_decode_the_same_images(images, tmp_path):
    (images / "a/0-empty.png").touch()
    zoo.encode(EAE, images, tmp_path / "threads", rows_per_shard=4)
    zoo.encode(EAE, images, tmp_path / "processes", rows_per_shard=4, workers=2)
    assert table_of(tmp_path / "threads").equals(table_of(tmp_path / "processes"))
    assert skipped_in(tmp_path / "threads") == skipped_in(tmp_path / "processes")
    fsspec.filesystem("memory").put(str(images), "/alone", recursive=True)
    with pytest.raises(UsageError, match="of this process alone"):
        zoo.encode(EAE, "memory://alone", tmp_path / "out", workers=2)


@pytest.mark.parametrize(("given", "size"), [(None, 1024), (7, 7)])
def test_batches_of_images_are_as_large_as_their_pixels_allow(given, size):
    model = locate("genae/eae-mnist")  # of 32 x 32 pixels
    assert open_encoder(model, batch_size=given).batch_size == size
