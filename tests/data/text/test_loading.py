"""Texts: every place and format gives the same ones, and what is wrong is said in one line."""

import json
import os

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zoo.data import DATASETS, load_images
from zoo.data.text import load_texts
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UnreachableError, UsageError
from zoo.models.images.image_processing_genae import GenaeImageProcessor
from zoo.places import Place

ROWS = ["一", "two, three", 'a "quoted" one', "NA", "2024", "  ends in spaces  "]


@pytest.fixture
def formats(write, tmp_path):
    """The same texts in a file of each format."""
    pq.write_table(pa.table({"text": ROWS, "more": list(range(6))}), tmp_path / "t.parquet")
    quoted = "".join('"' + row.replace('"', '""') + '"{}7\n' for row in ROWS)
    return {
        "parquet": tmp_path / "t.parquet",
        "jsonl": write(
            "t.jsonl", "".join(json.dumps({"text": r, "more": 1}) + "\n" for r in ROWS)
        ),
        "json": write("t.json", json.dumps([{"text": row, "more": 1} for row in ROWS])),
        "csv": write("t.csv", "text,more\n" + quoted.replace("{}", ",")),
        "tsv": write("t.tsv", "text\tmore\n" + quoted.replace("{}", "\t")),
        "txt": write("t.txt", "\n".join(ROWS) + "\n"),
        "bom": write("bom.txt", "\n".join(ROWS).encode("utf-8-sig")),
        "crlf": write("crlf.txt", "\r\n".join(ROWS)),
    }


def test_every_format_gives_the_same_texts_streamed_or_not(formats):
    for name, file in formats.items():
        table = load_texts(file, "train", ["text"])
        assert table.column_names == ["text"], name
        assert list(table["text"]) == ROWS, name
        stream = load_texts(file, "train", ["text"], streaming=True)
        assert [row["text"] for row in stream] == ROWS, name
        assert [row["text"] for row in stream] == ROWS, name  # the next epoch


def test_texts_at_an_address_are_those_of_the_files(formats, monkeypatch):
    files = fsspec.filesystem("memory")
    for name in ("parquet", "jsonl", "json", "txt"):
        files.pipe_file(f"/texts-{name}/train/a.{name}", formats[name].read_bytes())
        files.pipe_file(f"/texts-{name}/notes.md", b"not read")
        stream = load_texts(f"memory://texts-{name}", "train", ["text"], streaming=True)
        assert [row["text"] for row in stream] == ROWS, name
    with pytest.raises(UsageError, match="has no split 'test', only train"):
        load_texts("memory://texts-txt", "test", ["text"], streaming=True)
    with pytest.raises(NotFoundError, match="there are no files of"):
        load_texts("memory://texts-txt/notes.md", "train", ["text"], streaming=True)

    def unreachable(*args, **kwargs):
        raise ConnectionError("offline mode")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(UnreachableError, match="offline mode; "):
        load_texts("memory://texts-txt", "train", ["text"])


def test_texts_at_an_address_are_read_where_the_hub_is_not_asked(write, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    files = fsspec.filesystem("memory")
    for split in ("train", "test"):
        files.pipe_file(f"/cut/{split}/a.txt", f"{split} 1\n{split} 2\n".encode())
        files.pipe_file(f"/cut-tables/{split}.csv", f"text,label\n{split},1984\n".encode())

    def texts(name, split):
        return list(load_texts(f"memory://{name}", split, ["text"])["text"])

    assert texts("cut", "test[1:]") == ["test 2"]
    assert texts("cut", "train[:1]+test") == ["train 1", "test 1", "test 2"]
    assert texts("cut/test/a.txt", "train") == ["test 1", "test 2"]
    assert load_texts("memory://cut-tables", "test", ["label"])[0] == {"label": "1984"}
    with monkeypatch.context() as other:
        other.setattr(Place, "fetch", None)  # what is the same there is not copied again
        assert texts("cut", "test") == ["test 1", "test 2"]
    files.pipe_file("/cut/test/a.txt", b"another\n")
    assert texts("cut", "test") == ["another"]
    with pytest.raises(UsageError, match="has no split 'validation', only test, train"):
        texts("cut", "validation[:2]")
    files.pipe_file("/cut/test/a.txt", b"\xff")
    with pytest.raises(UsageError, match=r"memory://cut: .*a\.txt.* not UTF-8"):
        texts("cut", "test")


def test_no_key_of_a_store_is_copied_to_outside_of_the_cache(tmp_path):
    outside = tmp_path / "outside.txt"
    fsspec.filesystem("memory").pipe_file("/keys/train/a.txt", b"a")
    fsspec.filesystem("memory").pipe_file(f"/keys/{outside}", b"b")
    fsspec.filesystem("memory").pipe_file("/keys/train/../../b.txt", b"c")
    splits = [load_texts("memory://keys", split, ["text"])["text"] for split in ("train", "test")]
    assert [*map(list, splits)] == [["a"], ["b"]]
    assert not outside.exists()


def test_columns_come_in_the_order_asked_for(formats):
    assert load_texts(formats["csv"], "train[:2]", ["more", "text"])[1] == {
        "more": "7",
        "text": "two, three",
    }


def test_a_cell_may_be_a_book(write):
    file = write("t.csv", 'text\n"' + "ab, " * 40_000 + '"\nb\n')
    assert len(load_texts(file, "train", ["text"])[0]["text"]) == 160_000
    with pytest.raises(UsageError, match="has no split 'test'"):
        load_texts(file, "test", ["text"])


def test_a_column_may_be_asked_for_twice(formats):
    for streaming in (False, True):
        rows = load_texts(formats["csv"], "train", ["text", "text"], streaming=streaming)
        assert [row for row in rows] == [{"text": text} for text in ROWS]


def test_a_folder_has_splits(write, tmp_path):
    write("train/a.txt", "1\n2\n")
    write("train/b.txt", "3\n")
    write("dev/a.txt", "4\n")
    write(".hidden/a.txt", "5\n")
    write("notes.md", "not read")
    assert list(load_texts(tmp_path, "train", ["text"])["text"]) == ["1", "2", "3"]
    assert list(load_texts(tmp_path, "val", ["text"])["text"]) == ["4"]
    assert list(load_texts(tmp_path, "train[1:]", ["text"])["text"]) == ["2", "3"]


def test_characters_of_patterns_are_characters(write):
    write("a1.txt", "other")
    assert list(load_texts(write("a[1]*.txt", "one"), "train", ["text"])["text"]) == ["one"]


def test_a_line_ends_at_line_feeds_alone(write):
    text = "a\u2028b\x0cc\x85d"
    assert list(load_texts(write("t.txt", text), "train", ["text"])["text"]) == [text]


GOOD = '{"text": "a"}\n'
FAULTS = {
    "empty": ("t.txt", b"", "is empty"),
    "gb18030": ("t.txt", b"a\n" + "床前明月光".encode("gb18030"), "line 2: is not UTF-8"),
    "utf16": ("t.txt", "明月光 light".encode("utf-16"), "UTF-16"),
    "binary": ("t.csv", b"text\n\0\0\0", "bytes of 0"),
    "csv gb18030": ("t.csv", "text\n床前".encode("gb18030"), "line 2: is not UTF-8"),
    "csv header": ("t.csv", "床前\n".encode("gb18030"), "line 1: is not UTF-8"),
    "csv wide": ("t.csv", b"text,b\n1,2\n1,2,3\n", "line 3: has 3 cells, and line 1 names 2"),
    "csv wide at once": ("t.csv", b"text,b\n1,2,3\n4,5\n", "first row has 3 cells"),
    "csv open quote": ("t.csv", b'text,b\na,b\n"c,d\ne,f\n', "line 3: a cell begins with a quote"),
    "json broken": ("t.jsonl", (GOOD + '{"text": "b"\n' + GOOD).encode(), "line 2: is not JSON"),
    "json cut": ("t.jsonl", (GOOD + '{"text": "b').encode(), "line 2: is not JSON"),
    "json list": ("t.jsonl", (GOOD + "[1, 2]\n").encode(), "line 2: is not an object"),
    "json gb18030": ("t.jsonl", '{"text": "床"}'.encode("gb18030"), "line 1: is not UTF-8"),
    "json deep": (
        "t.jsonl",
        b'{"text":' + b"[" * 2000 + b"]" * 2000 + b"}\n",
        "line 1: is nested too deeply",
    ),
    "json null": ("t.jsonl", (GOOD + '{"text": null}\n').encode(), "row 1: nothing (null)"),
    "json absent": ("t.jsonl", (GOOD + '{"other": "b"}\n').encode(), "row 1: nothing (null)"),
    "column": ("t.jsonl", b'{"words": "a", "kind": 1}\n', "no column 'text' among words, kind"),
    "csv column": ("t.csv", b"words,kind\na,1\n", "no column 'text' among words, kind"),
    "parquet": ("t.parquet", b"PAR1 is not enough", "cannot be read"),
    "suffix": ("t.docx", b"PK", "is none of .parquet"),
    "archive": ("t.zip", b"PK", "unpack it first"),
    "header only": ("t.csv", b"text\n", "is empty; ask for more"),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_in_one_line(fault, streaming, write, capfd):
    name, content, expected = FAULTS[fault]
    file = write(name, content)
    with pytest.raises((UsageError, IntegrityError)) as caught:
        list(load_texts(file, "train", ["text"], streaming=streaming))
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert len(message) < 400
    assert str(file) in message
    assert capfd.readouterr() == ("", "")


def test_a_split_or_place_that_is_not_there(write, tmp_path):
    file = write("t.txt", "a\nb\n")
    with pytest.raises(UsageError, match=r"'validation'.*train"):
        load_texts(file, "validation", ["text"])
    with pytest.raises(UsageError, match="whole"):
        load_texts(file, "train[:1]", ["text"], streaming=True)
    with pytest.raises(UsageError, match="is empty; ask for more"):
        load_texts(file, "train[:0]", ["text"])
    (tmp_path / "none").mkdir()
    with pytest.raises(NotFoundError, match="no files of texts"):
        load_texts(tmp_path / "none", "train", ["text"])
    write("mixed/a.txt", "a")
    write("mixed/b.csv", "text\na\n")
    with pytest.raises(UsageError, match=r"several formats \(.csv, .txt\)"):
        load_texts(tmp_path / "mixed", "train", ["text"])
    with pytest.raises(NotFoundError, match="tiny-shakespeare"):
        load_texts("tiny-shakespear", "train", ["text"])


TEXTS = {name: source for name, source in DATASETS.items() if source.text_columns}


def test_texts_are_no_images():
    assert len(TEXTS) == 7
    for name in TEXTS:
        with pytest.raises(UsageError, match="texts, not images"):
            load_images(name, "train", GenaeImageProcessor(size=28))


@pytest.mark.parametrize("name", TEXTS)
def test_built_in_names(name, shared_data, monkeypatch):
    monkeypatch.setenv("GENAE_DATA", os.fspath(shared_data))
    source = TEXTS[name]
    columns = [*source.text_columns, *filter(None, [source.label_column])]
    table = load_texts(name, "validation[:5]", columns)
    assert table.column_names == columns
    assert len(table) == 5
    streamed = load_texts(name, "validation", columns, streaming=True)
    assert next(iter(streamed)) == table[0]
    if name == "wikitext2-small":
        with pytest.raises(UsageError, match="validation"):
            load_texts(name, "train", columns)


def test_errors_do_not_change_how_much_datasets_logs(write):
    level = datasets.logging.get_verbosity()
    with pytest.raises(GenaeError):
        load_texts(write("t.txt", b"\xff"), "train", ["text"])
    assert datasets.logging.get_verbosity() == level


def test_a_paragraph_may_be_a_text(write):
    file = write("mine.txt", "one\ntwo\n\nthree\r\n\r\n\r\nfour")
    told = {"paragraphs": True, "quiet": True}
    texts = load_texts(file, "train", ["text"], **told)["text"]
    assert [text.strip() for text in texts if text.strip()] == ["one\ntwo", "three", "four"]
    stream = load_texts(file, "train", ["text"], streaming=True, **told)
    assert [row["text"] for row in stream] == list(texts)
    assert len(load_texts(file, "train", ["text"], quiet=True)) == 7
    for name in (write("rows.jsonl", '{"text": "a"}\n'), "listops"):
        with pytest.raises(UsageError, match=r"paragraphs are of \.txt files"):
            load_texts(name, "train", ["text"], **told)
