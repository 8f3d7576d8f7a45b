"""Classical texts without their punctuation: what is left, and what it is tagged with."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.text import load_texts
from zoo.data.text.punctuation import MARKS, split_clauses
from zoo.data.text.schemes import read_entities
from zoo.errors import UsageError

NAME = "chinese-classics-punctuation"
COMMA, STOP, LIST, QUESTION = MARKS[:4]
#: What stands in a text, and its clauses with their marks.
TEXTS = [
    (f"床前明月光{COMMA}\n疑是地上霜{STOP}", [("床前明月光", COMMA), ("疑是地上霜", STOP)]),
    (f"子曰\uff1a「學而時習之{COMMA}不亦說乎{QUESTION}」\n",
     [("子曰", "\uff1a"), ("學而時習之", COMMA), ("不亦說乎", QUESTION)]),
    (f"醉{LIST}醒{COMMA}{COMMA}誰知{STOP}{QUESTION}",
     [("醉", LIST), ("醒", COMMA), ("誰知", STOP)]),
    (f"{STOP}山僧一衲衣(作走,内扮){COMMA}展似[1]衆人見\uff08一作「面」\uff09{STOP}",
     [("山僧一衲衣", COMMA), ("展似衆人見", STOP)]),
    ("去時雪滿天山路,山回路轉不見君.", None),
    (f"與女遊兮九河\n衝風起兮水揚波{STOP}", None),
    (f"萬里\u25a1\u25a1行{STOP}", None),
    (f"\u3010\u3011 {STOP}\n", None),
]  # fmt: skip
CLAUSE = st.tuples(st.text("天地玄黃宇宙洪荒", min_size=1, max_size=5), st.sampled_from(MARKS))


@pytest.mark.parametrize(("text", "clauses"), TEXTS, ids=range(len(TEXTS)))
def test_clauses_end_with_their_marks(text, clauses):
    assert split_clauses(text) == clauses


@given(st.lists(CLAUSE, min_size=1, max_size=6), st.data())
def test_clauses_that_are_joined_are_found_again_whatever_stands_between(clauses, data):
    noise = st.sampled_from(["", " ", "「", "』", "\n", "1", "(\u8a3b)"])
    text = "".join(f"{clause}{mark}{data.draw(noise)}" for clause, mark in clauses)
    assert split_clauses(text) == clauses


@pytest.fixture
def classics(tmp_path, monkeypatch):
    """A folder of classical texts in three splits, of which a test text is in no other."""
    place = tmp_path / "chinese_classics"
    place.mkdir()
    for split, texts in {"train": TEXTS, "validation": TEXTS[:1], "test": TEXTS[1:2]}.items():
        columns = {"text": [text for text, _ in texts], "title": ["untitled"] * len(texts)}
        pq.write_table(pa.table(columns), place / f"{split}-00000-of-00001.parquet")
    monkeypatch.setenv("GENAE_DATA", str(tmp_path))
    return place


def test_the_data_set_has_the_clauses_as_tags_in_normal_form(classics):
    table = load_texts(NAME, "train", ("text", "tags"), quiet=True)
    known = [clauses for _, clauses in TEXTS if clauses]
    assert table["text"] == ["".join(clause for clause, _ in clauses) for clauses in known]
    for text, tags, clauses in zip(table["text"], table["tags"], known, strict=True):
        assert [text[tag["start"] : tag["end"]] for tag in tags] == list(text)
        found = read_entities([tag["label"] for tag in tags])
        assert [(text[first : last + 1], mark) for mark, first, last in found] == clauses


def test_splits_are_those_of_the_texts_and_slices_are_cut_before(classics):
    assert load_texts(NAME, "validation", ("text",))["text"] == ["床前明月光疑是地上霜"]
    assert load_texts(NAME, "test", ("text",))["text"] == ["子曰學而時習之不亦說乎"]
    assert len(load_texts(NAME, "train[:1]", None)) == 1
    with pytest.raises(UsageError, match="no column 'title' among text, tags"):
        load_texts(NAME, "test", ("title",))
    streamed = [*load_texts(NAME, "train", ("text", "tags"), streaming=True)]
    assert streamed == [*load_texts(NAME, "train", ("text", "tags"))]
    with pytest.raises(UsageError, match=r"the split 'train\[4:5\]' is empty"):
        load_texts(NAME, "train[4:5]", ("text",))
