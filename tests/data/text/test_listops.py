"""ListOps: what is drawn is an expression by the published rules, and its label is its value."""

import statistics

import pytest

from zoo.data.text import find_labels, load_texts, train_tokenizer
from zoo.data.text.listops import SIZES, example
from zoo.errors import UsageError


@pytest.fixture(scope="module")
def drawn():
    return [example("train", number) for number in range(60)]


#: Another way to say what the words mean.
PYTHON = {
    "[MIN": lambda *values: min(values),
    "[MAX": lambda *values: max(values),
    "[MED": lambda *values: int(statistics.median(values)),
    "[SM": lambda *values: sum(values) % 10,
}


def as_python(text):
    """An expression as Python's own, whose parser then reads it."""
    words = (
        f"f['{word}'](" if word in PYTHON else ")," if word == "]" else f"{word},"
        for word in text.split()
    )
    return "".join(words).rstrip(",")


def test_a_label_is_the_value_that_python_finds(drawn):
    for one in drawn:
        assert eval(as_python(one["text"]), {"f": PYTHON}) == one["label"]
    assert len({one["label"] for one in drawn}) > 5
    small = "[MED 9 2 [SM 9 5 ] [MIN 3 1 ] ]"  # of 1 2 4 9 it is 3, and none of them
    assert eval(as_python(small), {"f": PYTHON}) == 3


def test_an_expression_keeps_to_the_published_limits(drawn):
    depths, counts = set(), set()
    for one in drawn:
        words = one["text"].split()
        assert 500 < len(words) < 2000
        assert set(words) <= {*PYTHON, "]", *"0123456789"}
        open_: list[int] = []
        for word in words:
            if word == "]":
                counts.add(open_.pop())
                continue
            if open_:
                open_[-1] += 1
            if word in PYTHON:
                open_.append(0)
            else:
                depths.add(len(open_) + 1)
        assert not open_
    assert counts == set(range(2, 11))
    assert max(depths) == 10


def test_a_split_is_the_same_whatever_is_asked_of_it():
    table = load_texts("listops", "train[10:14]", ["text", "label"], quiet=True)
    assert list(table) == [example("train", number) for number in range(10, 14)]
    assert find_labels(table, "label") == tuple("0123456789")
    stream = load_texts("listops", "validation", ["label", "text"], streaming=True)
    assert next(iter(stream)) == {n: example("validation", 0)[n] for n in ("label", "text")}
    assert example("test", 0) != example("validation", 0) != example("train", 0)
    assert SIZES == {"train": 96_000, "validation": 2_000, "test": 2_000}


def test_what_there_is_not():
    with pytest.raises(UsageError, match="no column 'words' among text, label"):
        load_texts("listops", "train[:2]", ["words"])
    with pytest.raises(UsageError, match="data set listops has no split 'dev2'"):
        load_texts("listops", "dev2", ["text"])


def test_its_words_are_tokens(drawn):
    tokenizer = train_tokenizer([one["text"] for one in drawn], "words", 32)
    assert len(tokenizer) == 5 + 15
    text = drawn[0]["text"]
    encoded = tokenizer(text)["input_ids"]
    assert len(encoded) == len(text.split()) + 2
    assert tokenizer.unk_token_id not in encoded
    assert tokenizer.decode(encoded, skip_special_tokens=True) == text
    few = train_tokenizer([*"aab", "a [MASK]"], "words", 6, lowercase=True)
    assert few("A\tb  a")["input_ids"] == [2, 5, 1, 5, 3]
