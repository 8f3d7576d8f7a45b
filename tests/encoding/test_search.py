"""`zoo.search` and `genae neighbors --index`: the nearest rows, whichever way they are found."""

import json
import sys

import fsspec
import numpy as np
import pytest

import zoo
from tests.encoding.conftest import TEXTS, table_of
from zoo.encoding import search
from zoo.encoding.search import Vectors
from zoo.encoding.shards import name_of, packed, write_manifest
from zoo.errors import (
    ConflictError,
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotFoundError,
    UsageError,
)
from zoo.places import Place

BERT, EAE = "genae/tiny-bert", "genae/eae-mnist"


def distances_of(queries, references, by):
    """The definition, in float64."""
    queries, references = queries.astype(np.float64), references.astype(np.float64)
    if by == "l2":
        return np.sqrt(((queries[:, None] - references[None]) ** 2).sum(-1))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, references)]
    return 1 - unit[0] @ unit[1].T


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder of 3000 vectors around 30 centres, every seventh row without one."""
    folder = tmp_path_factory.mktemp("many")
    place, draw, size = Place(str(folder)), np.random.default_rng(0), 512
    centres = draw.normal(size=(30, 8))
    rows = [row for row in range(3500) if row % 7]
    values = (centres[draw.integers(30, size=3500)] + 0.3 * draw.normal(size=(3500, 8))).astype(
        "f"
    )
    settings = {"rows_per_shard": size, "model": BERT, "model_sha256": "", "precision": "float32"}
    whole = {"settings": settings, "size": 8, "rows": 3500, "vectors": len(rows)}
    write_manifest(place, whole)
    for number in range(7):
        own = [row for row in rows if row // size == number]
        keys = [f"k{row}" for row in own]
        place.write(name_of(number), packed(number * size, size, own, keys, values[own], []))
    return folder, np.array(rows), values


@pytest.mark.parametrize("by", ["cosine", "l2"])
def test_the_nearest_of_all_files_are_those_by_definition(many, by):
    folder, rows, values = many
    queries = values[[0, 7, 14]]  # rows without vectors of their own
    found, far = Vectors(folder).nearest(queries, 10, by=by)
    wanted = distances_of(queries, values[rows], by)
    order = np.argsort(wanted, axis=1)[:, :10]
    assert (found == rows[order]).all()
    np.testing.assert_allclose(far, np.take_along_axis(wanted, order, 1), atol=1e-6)


@pytest.mark.parametrize("by", ["cosine", "l2"])
def test_an_index_finds_nearly_all_of_them_and_stays(many, by, monkeypatch):
    folder, rows, values = many
    vectors, queries = Vectors(folder), values[rows[:100]]
    found, far = vectors.nearest(queries, 10, by=by, exact=False)
    wanted, least = vectors.nearest(queries, 10, by=by, exact=True)
    shared = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, wanted, strict=True)])
    assert shared > 0.95
    assert (found[:, 0] == rows[:100]).all()
    assert (far >= least - 1e-5).all()
    file = folder / f"index-{by}.faiss"
    before = file.stat().st_mtime_ns
    monkeypatch.setattr(search, "EXACT", 100)
    again, _ = vectors.nearest(queries, 10, by=by)  # more than that many: by the index
    assert (again == found).all()
    assert file.stat().st_mtime_ns == before
    file.write_bytes(file.read_bytes()[:100])
    assert (vectors.nearest(queries, 10, by=by)[0] == found).all()  # it is made anew
    assert not list(folder.glob(".*.faiss"))


def test_keys_are_found_wherever_they_are_and_a_row_is_no_neighbour_of_itself(many):
    folder, _, values = many
    asked = ["k3499", "k1", "k3499", "k2000"]
    rows, found = Vectors(folder).of_keys(asked)
    assert rows == [3499, 1, 3499, 2000]
    assert (found == values[rows]).all()
    for exact in (True, False):
        for answer, row in zip(
            zoo.search(folder, keys=asked, number=5, exact=exact), rows, strict=True
        ):
            assert answer.query == f"k{row}"
            assert len(answer.neighbors) == 5
            assert row not in [one.row for one in answer.neighbors]
            assert all(one.key == f"k{one.row}" for one in answer.neighbors)
            far = [one.distance for one in answer.neighbors]
            assert far == sorted(far)
    with pytest.raises(NotFoundError, match="no row has the key 'k7'"):
        zoo.search(folder, keys=["k1", "k7"])


def test_texts_find_texts_by_the_model_and_pooling_of_the_folder(written, tmp_path):
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    zoo.encode(BERT, data, out, pooling="max", rows_per_shard=3)
    query = "天气 a b 我"
    (answer,) = zoo.search(out, [query], number=3)
    vectors = zoo.embed(BERT, [query, *TEXTS], pooling="max").numpy()
    far = distances_of(vectors[:1], vectors[1:], "cosine")[0]
    assert [one.row for one in answer.neighbors] == np.argsort(far)[:3].tolist()
    np.testing.assert_allclose(
        [one.distance for one in answer.neighbors], sorted(far)[:3], atol=1e-5
    )
    (everything,) = zoo.search(out, [query], number=50)
    assert len(everything.neighbors) == len(TEXTS)
    with pytest.raises(UsageError, match="half a character"):
        zoo.search(out, ["\ud800"])


def test_images_find_images_and_themselves(images, tmp_path):
    out = tmp_path / "out"
    zoo.encode(EAE, images, out, dtype="float16", rows_per_shard=4)
    (first,) = zoo.search(out, [str(images / "a")], number=1, by="l2")[:1]
    key = table_of(out)["key"][0].as_py()
    assert first.neighbors[0].key == key
    assert first.query == str(images / key)
    assert len(zoo.search(out, [str(images)], number=1)) == 10


def test_the_command_lists_rows_and_asks_by_texts_images_and_keys(run, written, tmp_path):
    data, out = written("t.jsonl", [{"text": t, "id": f"i{n}"} for n, t in enumerate(TEXTS)]), "o"
    out = tmp_path / "out"
    done = run("encode", BERT, data, "-o", out, "--key", "id")
    (line,) = done.tried
    assert line == f"genae neighbors {BERT} --index {out} --key i0"
    words = ("neighbors", BERT, "--index", out, "-n", 2)
    done = run(*line.split()[1:])
    assert done.code == 0, done.err
    assert "i1" in done.out
    (again,) = done.tried
    answers = json.loads(run(*again.split()[1:]).out)
    assert len(answers[0]["neighbors"]) == len(TEXTS) - 1
    assert {"key", "row", "distance"} == set(answers[0]["neighbors"][0])
    answers = json.loads(run(*words, TEXTS[3], "--key", "i3", "--by", "l2", "--json").out)
    assert [one["query"] for one in answers] == [TEXTS[3], "i3"]
    assert answers[0]["neighbors"][0]["key"] == "i3"
    assert answers[0]["neighbors"][1] == answers[1]["neighbors"][0]
    for wrong, said in (
        ([], "ask for a list of texts or images, or of keys"),
        (["x", "-o", "a.png"], "leave -o, --data and --tap out"),
        (["--key", "zz"], "no row has the key 'zz'"),
        (["x", "--by", "dot"], "no distance 'dot'"),
    ):
        done = run(*words, *wrong)
        assert done.code, wrong
        assert said in done.err
    assert "--index" in run("neighbors", BERT, "x").err
    assert "are of --index" in run("neighbors", BERT, "x", "-o", "a.png", "--key", "i").err


def test_a_folder_that_is_not_whole_or_of_another_model_is_refused(written, tmp_path, many):
    data, out = written("t.txt", TEXTS), tmp_path / "out"
    zoo.encode(BERT, data, out)
    cases = [
        (lambda: zoo.search(tmp_path, ["a"]), NotFoundError, "has no encoding.json"),
        (lambda: zoo.search(out, ["a"], 0), UsageError, "number must be 1 to 1000"),
        (lambda: zoo.search(out, "a"), UsageError, "ask for a list"),
        (
            lambda: zoo.search(out, ["a"], model="genae/tiny-albert"),
            ConflictError,
            "and genae/tiny-albert has other files",
        ),
    ]
    for call, kind, said in cases:
        with pytest.raises(kind) as refusal:
            call()
        assert said in str(refusal.value)
    manifest = json.loads((out / "encoding.json").read_text())
    (out / "vectors/part-000000.parquet").write_bytes(b"")
    with pytest.raises(IntegrityError, match="cannot be read; remove it"):
        zoo.search(out, ["a"])
    del manifest["rows"]
    (out / "encoding.json").write_text(json.dumps(manifest))
    with pytest.raises(ConflictError, match="is not complete"):
        zoo.search(out, ["a"])


def test_without_the_library_of_indexes_the_extra_is_named(many, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "genae\[search\]"'):
        zoo.search(many[0], keys=["k1"], exact=False)
    assert zoo.search(many[0], keys=["k1"])


def test_an_index_elsewhere_is_kept_there(many):
    folder, rows, values = many
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/encoding.json", "/many/encoding.json")
    memory.put(f"{folder}/vectors/", "/many/vectors", recursive=True)
    for _ in range(2):
        found, _ = Vectors("memory://many").nearest(values[rows[:5]], 1, exact=False)
        assert found[:, 0].tolist() == rows[:5].tolist()
    assert memory.exists("/many/index-cosine.faiss")


def test_a_model_of_the_other_kind_makes_no_query(images, tmp_path):
    zoo.encode(EAE, images, tmp_path / "out")
    with pytest.raises(GenaeError):
        zoo.search(tmp_path / "out", ["no such image"])
